"""Types of NIM's chat completions, of which the document has the schemas. ``dialects/nim.py`` reads and writes them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ponant.api.base import CompletionTokensDetails, PromptTokensDetails
from ponant.api.limits import AtMost
from ponant.api.numbers import Penalty, PositiveCount, Share
from ponant.server.dialects.nim import DEFAULTS

_Seed = Annotated[int, Field(ge=-(2**63), le=2**64 - 1)]
_Finish = Literal["stop", "length", "tool_calls", "function_call", "error"]
_Stop = Annotated[str, Field(min_length=1)]


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NimTextPart(BaseModel):
    """A part of a message."""

    type: Literal["text"]
    text: str


class NimMessage(BaseModel):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str | list[NimTextPart] | None, AtMost("chunks")] = None


class NimChatRequest(BaseModel):
    """A request, with its fields in NIM's order."""

    model: str | None = DEFAULTS["model"]
    max_tokens: PositiveCount | None = DEFAULTS["max_tokens"]
    stream: bool | None = DEFAULTS["stream"]
    temperature: Share | None = DEFAULTS["temperature"]
    top_p: Share | None = DEFAULTS["top_p"]
    stop: Annotated[_Stop | list[_Stop] | None, AtMost("stops")] = None
    frequency_penalty: Penalty | None = DEFAULTS["frequency_penalty"]
    presence_penalty: Penalty | None = DEFAULTS["presence_penalty"]
    seed: _Seed | None = DEFAULTS["random_seed"]
    messages: Annotated[list[NimMessage], AtMost("messages"), Field(json_schema_extra={"minItems": 1})]


class NimUsage(_Answered):
    """Numbers of tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails | None = None


class NimAnswer(_Answered):
    """An answer as a message."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class NimChoice(_Answered):
    """One answer."""

    index: int
    message: NimAnswer
    logprobs: dict[str, Any] | None
    finish_reason: _Finish


class _Completion(_Answered):
    id: str
    object: str
    created: int
    model: str
    system_fingerprint: str


class NimChatCompletion(_Completion):
    """The answers to a request."""

    choices: list[NimChoice]
    usage: NimUsage


class NimDelta(_Answered):
    """A piece of a message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class NimPiece(_Answered):
    """A piece of one answer."""

    index: int
    delta: NimDelta
    logprobs: dict[str, Any] | None
    finish_reason: _Finish | None


class NimChunk(_Completion):
    """A piece of the answers."""

    choices: list[NimPiece]
    usage: NimUsage | None = None


class NimEvent(_Answered):
    """An event of a stream."""

    data: NimChunk
