"""Base classes of all wire types, and the token counts of a request."""

import itertools
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.json_schema import SkipJsonSchema

from ponant.api.limits import MOST_ERRORS


class RequestModel(BaseModel):
    """A type that clients send. Unknown fields are refused, and types are not coerced (``"2"`` is not an integer).

    Null for a field with a default means that the field was not sent: many JSON writers write unset fields.
    """

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)
    _left_out_if_null: ClassVar[frozenset[str]] = frozenset()
    """Fields with a default whose type has no null."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the fields that null leaves out."""
        super().__pydantic_init_subclass__(**kwargs)
        cls._left_out_if_null = frozenset(
            name
            for name, field in cls.model_fields.items()
            if not field.is_required() and type(None) not in get_args(field.annotation)
        )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, sent: Any) -> Any:
        if not isinstance(sent, dict) or None not in sent.values():
            return sent
        return {name: value for name, value in sent.items() if value is not None or name not in cls._left_out_if_null}

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
