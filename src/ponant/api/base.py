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
    _names: ClassVar[frozenset[str]] = frozenset()
    """Names of all fields, and their aliases."""
    _left_out_if_null: ClassVar[frozenset[str]] = frozenset()
    """Fields with a default whose type has no null."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the names of the fields, and of those that null leaves out."""
        super().__pydantic_init_subclass__(**kwargs)
        aliases = {field.alias for field in cls.model_fields.values() if field.alias}
        cls._names = frozenset(cls.model_fields) | aliases
        cls._left_out_if_null = frozenset(
            name
            for name, field in cls.model_fields.items()
            if not field.is_required() and type(None) not in get_args(field.annotation)
        )

    @model_validator(mode="before")
    @classmethod
    def _without_spare_members(cls, sent: Any) -> Any:
        """Drop nulls that mean the default, and unknown fields beyond the first ones, each of which would be an error.

        Every object of every request passes here.
        """
        if not isinstance(sent, dict):
            return sent
        if len(sent) > len(cls._names) + MOST_ERRORS:
            unknown = itertools.islice((name for name in sent if name not in cls._names), MOST_ERRORS)
            sent = {name: sent[name] for name in (*cls._names & sent.keys(), *unknown)}
        if None in sent.values():
            left_out = cls._left_out_if_null
            return {name: value for name, value in sent.items() if value is not None or name not in left_out}
        return sent


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
