"""Base classes of all wire types, and the token counts of a request."""

import itertools
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.json_schema import SkipJsonSchema

from ponant.api.limits import MOST_ERRORS


class RequestModel(BaseModel):
    """A type that clients send. Unknown fields are refused, and types are not coerced (``"2"`` is not an integer)."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _few_unknown(cls, sent: Any) -> Any:
        """Drop unknown fields beyond the first ones, each of which would be an error."""
        if not isinstance(sent, dict) or len(sent) <= len(cls.model_fields) + MOST_ERRORS:
            return sent
        names = set(cls.model_fields) | {field.alias for field in cls.model_fields.values()}
        unknown = itertools.islice((name for name in sent if name not in names), MOST_ERRORS)
        return {name: sent[name] for name in (*names & sent.keys(), *unknown)}


class ResponseModel(BaseModel):
    """A type that the server sends. Unset fields are left out of the JSON."""


class PromptTokensDetails(ResponseModel):
    """Details of the prompt tokens: those from the cache."""

    model_config = ConfigDict(extra="forbid")

    cached_tokens: int = 0


class CompletionTokensDetails(ResponseModel):
    """Details of the completion tokens: accepted and rejected tokens of the prediction."""

    model_config = ConfigDict(extra="forbid")

    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class UsageInfo(ResponseModel):
    """Numbers of tokens of a request, as counted by the model's tokenizer."""

    model_config = ConfigDict(extra="forbid")

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_audio_seconds: int | None = None
    num_cached_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    prompt_token_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | SkipJsonSchema[None] = None
