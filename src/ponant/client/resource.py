"""A resource of the API, whose operations are written once and called in four ways: sync or async, whole or streamed.

An operation is a method that makes a ``Call``. The functions here make the public methods of it; these have its
parameters and its documentation, and those of ``Options`` for its ``**options``.
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
"""The parameter of operations that stands for those of ``Options``."""
_NO_RESPONSE = "NoResponseError: The server cannot be reached, the connection broke, or the time is over."
"""What every operation raises."""


class Resource:
    """A group of operations."""

    def __init__(self, transport: "Transport") -> None:
        self._transport = transport


R = TypeVar("R", bound=Resource)
P = ParamSpec("P")
T = TypeVar("T")


def answered(operation: Callable[Concatenate[R, P], Call[T]]) -> Callable[Concatenate[R, P], T]:
    """The method that waits for the answer."""

    def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> T:
        return self._transport.answer(operation(self, *arguments, **parameters))

    return _documented(method, operation, "", lambda result: result)


def answered_async(
    operation: Callable[Concatenate[R, P], Call[T]],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, T]]:
    """The coroutine function that waits for the answer."""

    async def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> T:
        return await self._transport.answer_async(operation(self, *arguments, **parameters))

    return _documented(method, operation, "_async", lambda result: result)


def streamed(operation: Callable[Concatenate[R, P], Call[T]]) -> Callable[Concatenate[R, P], EventStream[T]]:
    """The method that gives the events as they come."""

    def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> EventStream[T]:
        return self._transport.stream(operation(self, *arguments, **parameters))

    return _documented(method, operation, "", lambda result: EventStream[result])  # type: ignore[valid-type]


def streamed_async(
    operation: Callable[Concatenate[R, P], Call[T]],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, EventStreamAsync[T]]]:
    """The coroutine function that gives the events as they come."""

    async def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> EventStreamAsync[T]:
        return await self._transport.stream_async(operation(self, *arguments, **parameters))

    return _documented(method, operation, "_async", lambda result: EventStreamAsync[result])  # type: ignore[valid-type]


def downloaded(operation: Callable[Concatenate[R, P], Call[bytes]]) -> Callable[Concatenate[R, P], "httpx2.Response"]:
    """The method that gives the response, whose content has not been read."""

    def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> "httpx2.Response":
        return self._transport.download(operation(self, *arguments, **parameters))

    return _documented(method, operation, "", lambda _: "httpx2.Response")


def downloaded_async(
    operation: Callable[Concatenate[R, P], Call[bytes]],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, "httpx2.Response"]]:
    """The coroutine function that gives the response, whose content has not been read."""

    async def method(self: R, /, *arguments: P.args, **parameters: P.kwargs) -> "httpx2.Response":
        return await self._transport.download_async(operation(self, *arguments, **parameters))

    return _documented(method, operation, "_async", lambda _: "httpx2.Response")


M = TypeVar("M", bound=Callable[..., Any])


def _documented(method: M, operation: Callable[..., Any], suffix: str, result: Callable[[Any], Any]) -> M:
    """The method with the operation's name, documentation and parameters, for ``help`` and editors."""
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
    """The documentation with what ``Options`` says of the parameters, and with what every operation raises."""
    options = inspect.cleandoc(Options.__doc__ or "").partition("Attributes:\n")[2]
    before, heading, rest = inspect.cleandoc(documentation).partition("Args:\n")
    arguments, gap, others = rest.partition("\n\n")
    return f"{before}{heading}{arguments}\n{options}{gap}{others}\n    {_NO_RESPONSE}\n"
