"""Streamed variants of the operations that complete prompts."""

import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from ponant.api.chat import CompletionChunk, CompletionEvent
from ponant.client.call import Call
from ponant.client.lenient import lenient
from ponant.client.resource import Resource

R = TypeVar("R", bound=Resource)
P = ParamSpec("P")


def as_stream(operation: Callable[Concatenate[R, P], Call[Any]]) -> Callable[Concatenate[R, P], Call[CompletionEvent]]:
    """Return the variant of an operation with a streamed answer. Its `stream` defaults to True."""

    def _stream(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> Call[CompletionEvent]:
        call = operation(self, *arguments, **({"stream": True} | parameters))  # type: ignore[arg-type]
        reader = _CompletionReader(int((call.body or {}).get("n") or 1))
        return call.reading(reader.read, reader.is_complete)

    signature = inspect.signature(operation)
    changed = {"stream": signature.parameters["stream"].replace(default=True)}
    _stream.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=list((dict(signature.parameters) | changed).values()), return_annotation=Call[CompletionEvent]
    )
    _stream.__qualname__ = operation.__qualname__.replace(operation.__name__, _stream.__name__)
    _stream.__module__ = operation.__module__
    _stream.__doc__ = (operation.__doc__ or "").replace(".", ", piece by piece.", 1)
    return _stream


class _CompletionReader:
    """Reader of one stream's events."""

    def __init__(self, choices: int) -> None:
        """Expect the events of a number of answers."""
        self._unfinished = set(range(choices))

    def read(self, data: str | bytes) -> CompletionEvent:
        chunk = lenient(CompletionChunk).model_validate_json(data)
        self._unfinished -= {choice.index for choice in chunk.choices if choice.finish_reason}
        return CompletionEvent.model_construct(data=chunk)

    def is_complete(self) -> bool:
        """Return True if every answer has its finish reason."""
        return not self._unfinished
