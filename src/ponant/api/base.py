"""What all wire types have in common: how strictly they read, and the usage counts of a completion."""

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema


class RequestModel(BaseModel):
    """A type that clients send. Unknown fields are refused and types are not coerced (``"2"`` is no integer)."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class ResponseModel(BaseModel):
    """A type that the server sends. Fields that were not set are left out of the JSON."""


class PromptTokensDetails(ResponseModel):
    """How the prompt tokens of a request came about."""

    model_config = ConfigDict(extra="forbid")

    cached_tokens: int = 0


class CompletionTokensDetails(ResponseModel):
    """How the tokens of a request's prediction fared: those that are in the answer, and those tried in vain."""

    model_config = ConfigDict(extra="forbid")

    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class UsageInfo(ResponseModel):
    """Tokens that a request read and wrote, as the model's tokenizer counts them."""

    model_config = ConfigDict(extra="forbid")

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_audio_seconds: int | None = None
    num_cached_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    prompt_token_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | SkipJsonSchema[None] = None
