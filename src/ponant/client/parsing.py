"""Answers parsed as objects of a pydantic class."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from ponant.api.chat import (
    ChatCompletionChoice,
    ChatCompletionResponse,
    CompletionEvent,
    JsonSchema,
    ResponseFormat,
)
from ponant.api.messages import AssistantMessage
from ponant.client.errors import ResponseValidationError
from ponant.client.event_stream import EventStream, EventStreamAsync
from ponant.client.lenient import AS_IS, lenient
from ponant.client.text import text_of

Target = TypeVar("Target", bound=BaseModel)

_LONGEST_NAME = 64
_FEW = 6
"""Number of values of a set that must have several of them, so that a server can enforce it."""


class ParsedAssistantMessage(AssistantMessage, Generic[Target]):
    """Message with its content parsed as an object; ``parsed`` is None if the message has no text."""

    parsed: Annotated[Target | None, AS_IS] = None


class ParsedChatCompletionChoice(ChatCompletionChoice, Generic[Target]):
    """Answer of a request."""

    message: ParsedAssistantMessage[Target]


class ParsedChatCompletionResponse(ChatCompletionResponse, Generic[Target]):
    """Response with its answers parsed as objects."""

    choices: list[ParsedChatCompletionChoice[Target]]  # type: ignore[assignment] # a list is read here, not changed


def format_of(target: type[BaseModel]) -> ResponseFormat:
    """Return the response format for answers that satisfy the JSON schema of a class."""
    name = re.sub(r"[^a-zA-Z0-9_-]+", "_", target.__name__)[:_LONGEST_NAME]
    schema = target.model_json_schema()
    schema = _closed(_with_repeats(schema, schema))
    return ResponseFormat(type="json_schema", json_schema=JsonSchema(name=name, schema_definition=schema, strict=True))


def parsed_response(target: type[Target]) -> Callable[[str | bytes], ParsedChatCompletionResponse[Target]]:
    """Return a function that parses a response and the objects in it."""

    def read(body: str | bytes) -> ParsedChatCompletionResponse[Target]:
        kind = lenient(ParsedChatCompletionResponse[target])  # type: ignore[valid-type]
        response: ParsedChatCompletionResponse[Target] = kind.model_validate_json(body)
        for choice in response.choices:
            text = text_of(choice.message.content)
            is_answer = bool(text or not choice.message.tool_calls)
            if text is not None and is_answer:
                choice.message.parsed = _parsed(target, text, choice.finish_reason)
        return response

    return read


class _ParsedStream(Generic[Target]):
    """Texts of a stream's answers, collected from its events."""

    def __init__(self, target: type[Target], stream: EventStream[CompletionEvent] | EventStreamAsync[CompletionEvent]):
        self.response = stream.response
        self._target = target
        self._texts: dict[int, str] = {}
        self._finished: dict[int, str] = {}

    @property
    def parsed(self) -> Target:
        """Object of the answer, available at the end of the stream.

        Raises:
            RuntimeError: The stream has not been read to its end.
            ResponseValidationError: The answer is not such an object, for example because ``max_tokens`` cut it off.
        """
        return self.parsed_choice(0)

    def parsed_choice(self, index: int) -> Target:
        """Return the object of one of several answers. Raises the errors of ``parsed``."""
        if index not in self._finished:
            raise RuntimeError("read the stream to its end first: for event in events: ...")
        text = self._texts[index]
        try:
            return _parsed(self._target, text, self._finished[index])
        except ValueError as error:
            raise ResponseValidationError("The answer cannot be read", self.response, error, body=text) from error

    def _note(self, event: CompletionEvent) -> CompletionEvent:
        for choice in event.data.choices:
            self._texts[choice.index] = self._texts.get(choice.index, "") + (text_of(choice.delta.content) or "")
            if choice.finish_reason:
                self._finished[choice.index] = choice.finish_reason
        return event


class ParsedEventStream(_ParsedStream[Target]):
    """Iterator over the events of a stream. After the last event, ``parsed`` is the object of the answer."""

    def __init__(self, target: type[Target], stream: EventStream[CompletionEvent]) -> None:
        super().__init__(target, stream)
        self._stream = stream

    def __iter__(self) -> Iterator[CompletionEvent]:
        return self

    def __next__(self) -> CompletionEvent:
        return self._note(next(self._stream))

    def __enter__(self) -> "ParsedEventStream[Target]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream and its request. Remaining events are not read."""
        self._stream.close()


class ParsedEventStreamAsync(_ParsedStream[Target]):
    """Async iterator over the events of a stream. After the last event, ``parsed`` is the object of the answer."""

    def __init__(self, target: type[Target], stream: EventStreamAsync[CompletionEvent]) -> None:
        super().__init__(target, stream)
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[CompletionEvent]:
        return self

    async def __anext__(self) -> CompletionEvent:
        return self._note(await anext(self._stream))

    async def __aenter__(self) -> "ParsedEventStreamAsync[Target]":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the stream and its request. Remaining events are not read."""
        await self._stream.close()


def _parsed(target: type[Target], text: str, finish_reason: str) -> Target:
    try:
        return target.model_validate_json(text)
    except ValidationError as error:
        hint = "; it was cut off, so increase max_tokens" if finish_reason in ("length", "model_length") else ""
        raise ValueError(f"the answer is not a valid {target.__name__}{hint}: {error}") from error


def _with_repeats(schema: Any, root: dict[str, Any]) -> Any:
    """Return the schema without ``uniqueItems``, as sets drop repeated items and most servers do not enforce it.

    It remains where a set must have several of a few values.
    """
    if isinstance(schema, list):
        return [_with_repeats(part, root) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _with_repeats(part, root) for name, part in cast("dict[str, Any]", schema).items()}
    if found.get("uniqueItems") is True and found.get("type") == "array" and not _has_few_values(found, root):
        del found["uniqueItems"]
    return found


def _has_few_values(schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Return True if an array must have several items of few possible values."""
    items = schema.get("items")
    name = str(items.get("$ref", "")).removeprefix("#/$defs/") if isinstance(items, dict) else ""
    items = root.get("$defs", {}).get(name, items)
    values = items.get("enum") if isinstance(items, dict) else None
    return schema.get("minItems", 0) > 1 and isinstance(values, list) and len(values) <= _FEW


def _closed(schema: Any) -> Any:
    """Return the schema with objects limited to the listed properties, unless it says otherwise."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in cast("dict[str, Any]", schema).items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed
