"""``POST /v1/chat/completions``: the request, the response and the chunks of a stream.

The request has the fields of all documented versions. Every field may be absent or null; null means the default.
"""

import itertools
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from ponant.api.base import RequestModel, ResponseModel, UsageInfo
from ponant.api.guardrails import GuardrailConfig
from ponant.api.limits import MOST_ERRORS, AtMost
from ponant.api.messages import AssistantMessage, ContentChunk, Message, ToolCall
from ponant.api.numbers import Count, Penalty, RepetitionPenalty, Seed, Share, Temperature, TopK, Whole

MAX_CHOICES = 16
"""Most completions of one request."""

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_LARGEST_BIAS = 100
_TOKEN_ID = re.compile("[0-9]{1,9}")

FinishReason = Literal["stop", "length", "model_length", "error", "tool_calls"]


class Function(RequestModel):
    """A function that the model may call. ``parameters`` is a JSON schema."""

    name: str
    description: str = ""
    strict: bool = False
    parameters: dict[str, Any]


class Tool(RequestModel):
    """A tool that the model may call."""

    type: Literal["function"] = "function"
    function: Function


class FunctionName(RequestModel):
    """The name of a function."""

    name: str


class ToolChoice(RequestModel):
    """The tool that the model must call."""

    type: Literal["function"] = "function"
    function: FunctionName


class JsonSchema(RequestModel):
    """The schema that an answer must satisfy."""

    name: str
    description: str | None = None
    schema_definition: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool = False


class ResponseFormat(RequestModel):
    """The format of the answer: text, any JSON object, or JSON that satisfies a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None


class Prediction(RequestModel):
    """The expected answer. Parts that are right are generated faster."""

    type: Literal["content"] = "content"
    content: str = ""


def _refuse_empty(stop: str) -> str:
    if not stop:
        raise ValueError("a stop string must not be empty")
    return stop


def _refuse_none(messages: list[Message]) -> list[Message]:
    if not messages:
        raise ValueError("there must be at least one message")
    return messages


def _few_invalid(bias: Any) -> Any:
    """Return the first invalid members if there are any, each of which would be an error."""
    if not isinstance(bias, dict):
        return bias
    invalid = itertools.islice((token for token, added in bias.items() if not _is_bias(added)), MOST_ERRORS)
    return {token: bias[token] for token in invalid} or bias


def _is_bias(added: Any) -> bool:
    return isinstance(added, int | float) and abs(added) <= _LARGEST_BIAS and not isinstance(added, bool)


def _check_token_ids(bias: dict[str, float]) -> dict[str, float]:
    for token in bias:
        if not _TOKEN_ID.fullmatch(token):
            raise ValueError(f"the keys must be token ids, and {token[:40]!r} is none")
    return bias


StopString = Annotated[str, AfterValidator(_refuse_empty), Field(json_schema_extra={"minLength": 1})]
Stop = Annotated[StopString | list[StopString] | None, AtMost("stops")]
LogitBias = Annotated[
    dict[str, Annotated[float, Field(ge=-_LARGEST_BIAS, le=_LARGEST_BIAS)]],
    BeforeValidator(_few_invalid),
    AfterValidator(_check_token_ids),
    AtMost("items"),
    Field(json_schema_extra={"propertyNames": {"pattern": f"^{_TOKEN_ID.pattern}$"}}),
]
"""Numbers to add to the logits of tokens, by token id."""


class ChatCompletionRequest(RequestModel):
    """Body of a chat completion request."""

    model: str | None = None
    messages: Annotated[
        list[Message], AtMost("messages"), AfterValidator(_refuse_none), Field(json_schema_extra={"minItems": 1})
    ]
    temperature: Temperature | None = None
    top_p: Share | None = 1.0
    top_k: TopK | None = None
    max_tokens: Count | None = None
    min_tokens: Count | None = None
    stream: bool | None = False
    stop: Stop = None
    random_seed: Seed | None = None
    metadata: dict[str, Any] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], AtMost("tools")] | None = None
    tool_choice: ToolChoice | Literal["auto", "none", "any", "required"] | None = "auto"
    presence_penalty: Penalty | None = 0.0
    frequency_penalty: Penalty | None = 0.0
    repetition_penalty: RepetitionPenalty | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), Whole] | None = None
    prediction: Prediction | None = None
    parallel_tool_calls: bool | None = True
    prompt_mode: Literal["reasoning"] | None = None
    reasoning_effort: ReasoningEffort | None = None
    guardrails: Annotated[list[GuardrailConfig], AtMost("items")] | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = Field(default=None, description="Accepted without effect: there is one tier.")
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), Whole] | None = None
    prompt_logprobs: bool | None = None
    top_prompt_logprobs: Annotated[int, Field(ge=0, le=20), Whole] | None = None
    logit_bias: LogitBias | None = None
    ignore_eos: bool | None = None
    safe_prompt: bool | None = False
    safe_mode: bool | None = Field(default=False, description="Older spelling of `safe_prompt`.")


class TopLogprob(ResponseModel):
    """A candidate token, its natural log-probability, its bytes and its id.

    A token that is no text, such as half a character, is spelled by its bytes.
    """

    token: str
    logprob: float
    bytes: list[int]
    token_id: int | SkipJsonSchema[None] = None


class TokenLogprob(TopLogprob):
    """A token, and the most likely tokens at its position. ``text_offset`` is its place in a text completion."""

    top_logprobs: list[TopLogprob]
    text_offset: SkipJsonSchema[int | None] = None


class ChoiceLogprobs(ResponseModel):
    """The log-probabilities of a choice's tokens, or of its prompt's tokens without the first one."""

    content: list[TokenLogprob]


class ChatCompletionChoice(ResponseModel):
    """One completion of a request. ``logprobs`` and ``prompt_logprobs`` are present if the request asks for them."""

    index: int
    message: AssistantMessage
    finish_reason: FinishReason
    logprobs: ChoiceLogprobs | SkipJsonSchema[None] = None
    prompt_logprobs: ChoiceLogprobs | SkipJsonSchema[None] = None


class ChatCompletionResponse(ResponseModel):
    """Body of a chat completion response."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChatCompletionChoice]
    usage: UsageInfo


class DeltaMessage(ResponseModel):
    """A piece of a message in a stream."""

    role: str | None = None
    content: str | list[ContentChunk] | None = None
    tool_calls: list[ToolCall] | None = None


class CompletionResponseStreamChoice(ResponseModel):
    """A piece of one completion in a stream. ``finish_reason`` is null except in the last piece.

    The first piece has the ``prompt_logprobs``.
    """

    index: int
    delta: DeltaMessage
    finish_reason: FinishReason | None
    logprobs: ChoiceLogprobs | SkipJsonSchema[None] = None
    prompt_logprobs: ChoiceLogprobs | SkipJsonSchema[None] = None


class CompletionChunk(ResponseModel):
    """The data of one event of a stream. The last one has the usage."""

    id: str
    object: str = "chat.completion.chunk"
    created: int = 0
    model: str
    usage: UsageInfo | SkipJsonSchema[None] = None
    choices: list[CompletionResponseStreamChoice]


class CompletionEvent(ResponseModel):
    """A server-sent event of a stream."""

    model_config = ConfigDict(extra="forbid")

    data: CompletionChunk
