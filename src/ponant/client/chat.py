"""Chat completions: whole, streamed or parsed."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Required, TypeAlias, TypeVar

from pydantic import BaseModel
from typing_extensions import Unpack

from ponant.api.chat import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    Prediction,
    ReasoningEffort,
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

Target = TypeVar("Target", bound=BaseModel)

_PATH = "/v1/chat/completions"


class ChatCompletionStreamRequest(ChatCompletionRequest):
    """Body of a chat completion request with a streamed answer."""

    stream: bool | None = True


class ChatParameters(OptionParameters, total=False):
    """Parameters of ``complete`` and ``stream``, except ``response_format``; see there."""

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
    prompt_logprobs: OptionalNullable[bool]
    top_prompt_logprobs: OptionalNullable[int]
    reasoning_effort: OptionalNullable[ReasoningEffort]
    guardrails: OptionalNullable[Iterable[GuardrailConfig | Object]]
    prompt_cache_key: OptionalNullable[str]
    service_tier: OptionalNullable[str]


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
        prompt_logprobs: OptionalNullable[bool] = UNSET,
        top_prompt_logprobs: OptionalNullable[int] = UNSET,
        reasoning_effort: OptionalNullable[ReasoningEffort] = UNSET,
        guardrails: OptionalNullable[Iterable[GuardrailConfig | Object]] = UNSET,
        prompt_cache_key: OptionalNullable[str] = UNSET,
        service_tier: OptionalNullable[str] = UNSET,
        **options: Unpack[OptionParameters],
    ) -> Call[ChatCompletionResponse]:
        """Answer a conversation.

        The server's defaults apply to parameters that are UNSET, or None if that is their default.

        Args:
            model: Name of the model; None for the server's default model.
            messages: Conversation so far, as typed messages or as mappings with role and content.
            temperature: Randomness of the sampling: 0 for the most likely token each time.
            top_p: Probability mass to sample from: the most likely tokens that reach this sum.
            max_tokens: Maximum length of the answer in tokens. Messages and answer must fit into the model's context.
            stream: True for a streamed answer. Use the method `stream` instead.
            stop: Text, or texts, before which the answer ends.
            random_seed: Seed of the sampling. The same request with the same seed gets the same answer.
            metadata: Arbitrary object for the server.
            response_format: Format of the answer: free text, any JSON object, or JSON of a schema. See also `parse`.
            tools: Functions that the model may call.
            tool_choice: Use of tools: optional, required or none, or the function to call.
            presence_penalty: Penalty on tokens that have occurred.
            frequency_penalty: Penalty on tokens for each time they have occurred.
            n: Number of answers. The messages are computed once for all of them.
            prediction: Expected answer. The answer is generated faster where it is right.
            parallel_tool_calls: True if an answer may have several calls.
            prompt_mode: "reasoning" to let the model think before it answers.
            safe_prompt: True to put the server's safety prompt before the conversation.
            min_tokens: Minimum length of the answer in tokens.
            top_k: Number of the most likely tokens to sample from.
            repetition_penalty: Factor by which tokens that have occurred become less likely; 1 for none.
            logprobs: True to return the log probability of each token of the answer.
            top_logprobs: Number of most likely alternatives to return for each token, with their log probabilities.
            prompt_logprobs: True to return the log probability of each token of the prompt but the first.
            top_prompt_logprobs: Number of most likely alternatives to return for each of these tokens.
            reasoning_effort: "low" and above to let the model think before it answers; "none" or "minimal" for no
                thinking.
            guardrails: Guardrails that block content.
            prompt_cache_key: Name of a group of requests with the same beginning.
            service_tier: Tier of capacity, for servers that have several.

        Returns:
            The response; for `stream`, its events.

        Raises:
            HTTPValidationError: The server refused a field (422).
            SDKError: The server refused the request or failed (other 4XX and 5XX).
            ResponseValidationError: The response does not have the format of the API.
            StreamError: The server failed during the stream.
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
                "prompt_logprobs": prompt_logprobs,
                "top_prompt_logprobs": top_prompt_logprobs,
                "reasoning_effort": reasoning_effort,
                "guardrails": guardrails,
                "prompt_cache_key": prompt_cache_key,
                "service_tier": service_tier,
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
            response_format: Pydantic class of the object. The answer satisfies its JSON schema.
            **parameters: Parameters of `complete`.

        Returns:
            The response, with the object as `choices[0].message.parsed`.

        Raises:
            ResponseValidationError: The answer is not such an object, for example because `max_tokens` cut it off.
                Other errors as for `complete`.
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
            response_format: Pydantic class of the object. The answer satisfies its JSON schema.
            **parameters: Parameters of `stream`.

        Returns:
            The events. After the last one, their `parsed` is the object.

        Raises:
            SDKError: The server refused the request or failed. Other errors as for `stream`.
        """
        return ParsedEventStream(response_format, self.stream(**parameters, response_format=format_of(response_format)))

    async def parse_stream_async(
        self, response_format: type[Target], **parameters: Unpack[ChatParameters]
    ) -> ParsedEventStreamAsync[Target]:
        """Answer a conversation with an object, piece by piece; see `parse_stream`."""
        stream = await self.stream_async(**parameters, response_format=format_of(response_format))
        return ParsedEventStreamAsync(response_format, stream)
