"""``chat``: completions, whole, streamed, or parsed."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Required, TypeAlias, TypeVar

from pydantic import BaseModel
from typing_extensions import Unpack

from ponant.api.chat import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    Prediction,
    ResponseFormat,
    Tool,
    ToolChoice,
)
from ponant.api.guardrails import GuardrailConfig
from ponant.api.messages import AssistantMessage, SystemMessage, ToolMessage, UserMessage
from ponant.client.call import Call, OptionParameters, Options, fields
from ponant.client.completion_stream import as_stream
from ponant.client.lenient import reader
from ponant.client.parsing import (
    ParsedChatCompletionResponse,
    ParsedEventStream,
    ParsedEventStreamAsync,
    format_of,
    parsed_response,
)
from ponant.client.resource import Resource, answered, answered_async, streamed, streamed_async
from ponant.client.unset import UNSET, OptionalNullable

Object: TypeAlias = Mapping[str, Any]
Messages: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage
Stop: TypeAlias = str | list[str]
ToolChoiceEnum: TypeAlias = Literal["auto", "none", "any", "required"]
ChatCompletionRequestToolChoice: TypeAlias = ToolChoice | ToolChoiceEnum
MistralPromptMode: TypeAlias = Literal["reasoning"]
ReasoningEffort: TypeAlias = Literal["high", "none"]

Target = TypeVar("Target", bound=BaseModel)

_PATH = "/v1/chat/completions"


class ChatCompletionStreamRequest(ChatCompletionRequest):
    """Body of a chat completion request whose answer is streamed."""

    stream: bool | None = True


class ChatParameters(OptionParameters, total=False):
    """What ``complete`` and ``stream`` take besides ``response_format``; they say what it means."""

    model: Required[str | None]
    messages: Required[Iterable[Messages | Object]]
    temperature: OptionalNullable[float]
    top_p: float | None
    max_tokens: OptionalNullable[int]
    stop: Stop | None
    random_seed: OptionalNullable[int]
    metadata: OptionalNullable[Object]
    tools: OptionalNullable[Iterable[Tool | Object]]
    tool_choice: ChatCompletionRequestToolChoice | Object | None
    presence_penalty: float | None
    frequency_penalty: float | None
    n: OptionalNullable[int]
    prediction: Prediction | Object | None
    parallel_tool_calls: bool | None
    prompt_mode: OptionalNullable[MistralPromptMode]
    safe_prompt: bool | None
    min_tokens: OptionalNullable[int]
    top_k: OptionalNullable[int]
    repetition_penalty: OptionalNullable[float]
    logprobs: OptionalNullable[bool]
    top_logprobs: OptionalNullable[int]
    reasoning_effort: OptionalNullable[ReasoningEffort]
    guardrails: OptionalNullable[Iterable[GuardrailConfig | Object]]
    prompt_cache_key: OptionalNullable[str]


class Chat(Resource):
    """Chat completions."""

    def _complete(
        self,
        *,
        model: str | None,
        messages: Iterable[Messages | Object],
        temperature: OptionalNullable[float] = UNSET,
        top_p: float | None = None,
        max_tokens: OptionalNullable[int] = UNSET,
        stream: bool | None = False,
        stop: Stop | None = None,
        random_seed: OptionalNullable[int] = UNSET,
        metadata: OptionalNullable[Object] = UNSET,
        response_format: ResponseFormat | Object | None = None,
        tools: OptionalNullable[Iterable[Tool | Object]] = UNSET,
        tool_choice: ChatCompletionRequestToolChoice | Object | None = None,
        presence_penalty: float | None = None,
        frequency_penalty: float | None = None,
        n: OptionalNullable[int] = UNSET,
        prediction: Prediction | Object | None = None,
        parallel_tool_calls: bool | None = None,
        prompt_mode: OptionalNullable[MistralPromptMode] = UNSET,
        safe_prompt: bool | None = None,
        min_tokens: OptionalNullable[int] = UNSET,
        top_k: OptionalNullable[int] = UNSET,
        repetition_penalty: OptionalNullable[float] = UNSET,
        logprobs: OptionalNullable[bool] = UNSET,
        top_logprobs: OptionalNullable[int] = UNSET,
        reasoning_effort: OptionalNullable[ReasoningEffort] = UNSET,
        guardrails: OptionalNullable[Iterable[GuardrailConfig | Object]] = UNSET,
        prompt_cache_key: OptionalNullable[str] = UNSET,
        **options: Unpack[OptionParameters],
    ) -> Call[ChatCompletionResponse]:
        """Answer a conversation.

        Parameters that are UNSET (or None, where that is their default) are left to the server.

        Args:
            model: Name of the model; None for the server's own choice.
            messages: The conversation so far, as typed messages or as mappings with role and content.
            temperature: How varied the answer is: 0 for the likeliest tokens alone.
            top_p: Only tokens of this much of the probability, the likeliest first, are drawn from.
            max_tokens: Longest answer in tokens. It must fit into the model's context together with the messages.
            stream: Whether the answer is streamed; `stream` is the method for that.
            stop: Text, or texts, before which the answer ends.
            random_seed: Seed of the sampling. With the same one the answer repeats.
            metadata: Anything; for the server's own use.
            response_format: Free text, any JSON object, or JSON of a given schema. See `parse`, too.
            tools: Functions that the model may call.
            tool_choice: Whether it may, must or must not call one, or which one it must call.
            presence_penalty: Makes tokens that have occurred less likely.
            frequency_penalty: Makes tokens less likely the more often they have occurred.
            n: How many answers; the messages are computed once for all of them.
            prediction: The expected answer. The more of it is right, the faster the answer comes.
            parallel_tool_calls: Whether the model may call several tools at once.
            prompt_mode: "reasoning" for the reasoning models' own system prompt.
            safe_prompt: Whether the server's safety prompt comes before the conversation.
            min_tokens: Shortest answer in tokens.
            top_k: Only this many of the likeliest tokens are drawn from.
            repetition_penalty: Makes tokens that have occurred less likely, as a factor; 1 changes nothing.
            logprobs: Whether the log-probabilities of the answer's tokens are wanted.
            top_logprobs: Of how many other tokens they are wanted, too, at each place.
            reasoning_effort: How much the model thinks before it answers.
            guardrails: What is to be blocked.
            prompt_cache_key: Name of the group of requests that begin alike.

        Raises:
            HTTPValidationError: The server refused a field (422).
            SDKError: The server refused the request or failed (other 4XX and 5XX).
            ResponseValidationError: The response does not have the form of the API.
            StreamError: The server failed after the stream had begun.
        """
        body = fields(
            nullable={
                "model": model,
                "messages": messages,
                "temperature": temperature,
                "max_tokens": max_tokens,
                "random_seed": random_seed,
                "metadata": metadata,
                "tools": tools,
                "n": n,
                "prompt_mode": prompt_mode,
                "min_tokens": min_tokens,
                "top_k": top_k,
                "repetition_penalty": repetition_penalty,
                "logprobs": logprobs,
                "top_logprobs": top_logprobs,
                "reasoning_effort": reasoning_effort,
                "guardrails": guardrails,
                "prompt_cache_key": prompt_cache_key,
            },
            optional={
                "top_p": top_p,
                "stream": stream,
                "stop": stop,
                "response_format": response_format,
                "tool_choice": tool_choice,
                "presence_penalty": presence_penalty,
                "frequency_penalty": frequency_penalty,
                "prediction": prediction,
                "parallel_tool_calls": parallel_tool_calls,
                "safe_prompt": safe_prompt,
            },
        )
        return Call("POST", _PATH, reader(ChatCompletionResponse), Options(**options), body)

    def _parse(
        self, response_format: type[Target], **parameters: Unpack[ChatParameters]
    ) -> Call[ParsedChatCompletionResponse[Target]]:
        """Answer a conversation with an object.

        Args:
            response_format: The pydantic class of the object; its JSON schema is what the answer must satisfy.
            **parameters: As for `complete`.

        Returns:
            The response, with the object as `choices[0].message.parsed`.

        Raises:
            ResponseValidationError: The answer is none, such as one that `max_tokens` cut off. Otherwise as `complete`.
        """
        call = self._complete(**parameters, response_format=format_of(response_format))
        return call.reading(parsed_response(response_format))

    _stream = as_stream(_complete)

    complete = answered(_complete)
    complete_async = answered_async(_complete)
    stream = streamed(_stream)
    stream_async = streamed_async(_stream)
    parse = answered(_parse)
    parse_async = answered_async(_parse)

    def parse_stream(
        self, response_format: type[Target], **parameters: Unpack[ChatParameters]
    ) -> ParsedEventStream[Target]:
        """Answer a conversation with an object, piece by piece.

        Args:
            response_format: The pydantic class of the object; its JSON schema is what the answer must satisfy.
            **parameters: As for `stream`.

        Returns:
            The events; once they have been read, the object is their `parsed`.
        """
        return ParsedEventStream(response_format, self.stream(**parameters, response_format=format_of(response_format)))

    async def parse_stream_async(
        self, response_format: type[Target], **parameters: Unpack[ChatParameters]
    ) -> ParsedEventStreamAsync[Target]:
        """As `parse_stream`."""
        stream = await self.stream_async(**parameters, response_format=format_of(response_format))
        return ParsedEventStreamAsync(response_format, stream)
