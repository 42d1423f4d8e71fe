"""Resources of the API. Each operation is written once, for sync and async, whole and streamed answers.

An operation is a method that returns a ``Call``. The functions of this module make the public methods from it, with its
parameters and docstring, and with those of ``Options`` in place of ``**options``.
"""

import dataclasses
import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, get_args

from ponant.client.call import Call, Options
from ponant.client.event_stream import EventStream, EventStreamAsync

if TYPE_CHECKING:
    import httpx2

    from ponant.client.transport import Transport


_OPTIONS = "options"
"""Name of the operations' parameter that is replaced by those of ``Options``."""
_NO_RESPONSE = "NoResponseError: The server cannot be reached, the connection is lost, or the time limit is exceeded."
"""Error that every operation may raise."""


class Resource:
    """Group of operations."""

    def __init__(self, transport: "Transport") -> None:
        self._transport = transport


R = TypeVar("R", bound=Resource)
P = ParamSpec("P")
T = TypeVar("T")


def answered(operation: Callable[Concatenate[R, P], Call[T]]) -> Callable[Concatenate[R, P], T]:
    """Return the method that waits for the answer of an operation."""

    def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> T:
        return self._transport.answer(operation(self, *arguments, **parameters))

    return _documented(method, operation, "", lambda result: result)


def answered_async(
    operation: Callable[Concatenate[R, P], Call[T]],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, T]]:
    """Return the coroutine function that waits for the answer of an operation."""

    async def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> T:
        return await self._transport.answer_async(operation(self, *arguments, **parameters))

    return _documented(method, operation, "_async", lambda result: result)


def streamed(operation: Callable[Concatenate[R, P], Call[T]]) -> Callable[Concatenate[R, P], EventStream[T]]:
    """Return the method that streams the events of an operation."""

    def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> EventStream[T]:
        return self._transport.stream(operation(self, *arguments, **parameters))

    return _documented(method, operation, "", lambda result: EventStream[result])  # type: ignore[valid-type]


def streamed_async(
    operation: Callable[Concatenate[R, P], Call[T]],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, EventStreamAsync[T]]]:
    """Return the coroutine function that streams the events of an operation."""

    async def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> EventStreamAsync[T]:
        return await self._transport.stream_async(operation(self, *arguments, **parameters))

    return _documented(method, operation, "_async", lambda result: EventStreamAsync[result])  # type: ignore[valid-type]


def downloaded(operation: Callable[Concatenate[R, P], Call[bytes]]) -> Callable[Concatenate[R, P], "httpx2.Response"]:
    """Return the method that returns an operation's response before its content is read."""

    def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> "httpx2.Response":
        return self._transport.download(operation(self, *arguments, **parameters))

    return _documented(method, operation, "", lambda _: "httpx2.Response")


def downloaded_async(
    operation: Callable[Concatenate[R, P], Call[bytes]],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, "httpx2.Response"]]:
    """Return the coroutine function that returns an operation's response before its content is read."""

    async def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> "httpx2.Response":
        return await self._transport.download_async(operation(self, *arguments, **parameters))

    return _documented(method, operation, "_async", lambda _: "httpx2.Response")


M = TypeVar("M", bound=Callable[..., Any])


def _documented(method: M, operation: Callable[..., Any], suffix: str, result: Callable[[Any], Any]) -> M:
    """Give a method the operation's name, docstring and parameters, for ``help`` and editors."""
    signature = inspect.signature(operation)
    documentation = operation.__doc__
    if _OPTIONS in signature.parameters:
        signature = _with_options(signature)
        documentation = documentation and _with_options_documented(documentation)
    made = get_args(signature.return_annotation)
    method.__name__ = operation.__name__.lstrip("_") + suffix
    method.__qualname__ = operation.__qualname__.replace(operation.__name__, method.__name__)
    method.__module__ = operation.__module__
    method.__doc__ = documentation
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        return_annotation=result(made[0]) if made else signature.return_annotation
    )
    return method


def _with_options(signature: inspect.Signature) -> inspect.Signature:
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != _OPTIONS]
    parameters += [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in dataclasses.fields(Options)
    ]
    return signature.replace(parameters=parameters)


def _with_options_documented(documentation: str) -> str:
    """Add the parameters of ``Options`` and the errors of all operations to a docstring."""
    options = inspect.cleandoc(Options.__doc__ or "").partition("Attributes:\n")[2]
    before, heading, rest = inspect.cleandoc(documentation).partition("Args:\n")
    arguments, gap, others = rest.partition("\n\n")
    return f"{before}{heading}{arguments}\n{options}{gap}{others}\n    {_NO_RESPONSE}\n"
