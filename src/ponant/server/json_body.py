"""JSON bodies, parsed strictly (no NaN, no lone surrogates, limited nesting) and translated to the Mistral API."""

import asyncio
import functools
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from ponant.api.limits import MOST_ERRORS
from ponant.server.arrival import set_arrival
from ponant.server.body_limits import BodyLimits, body_limits_of
from ponant.server.dialects.base import DialectExchange, exchange_of
from ponant.server.dialects.table import RefusedFieldError
from ponant.server.header_text import content_type_is, header
from ponant.server.json_size import json_size
from ponant.server.json_text import JsonTextError, parse_json

_KINDS = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
"""Names of the types of JSON values other than objects."""
_SMALL = 2**16
"""Largest body that is parsed on the event loop, in bytes. A thread costs more time for smaller ones."""
_MAX_THREADS = 2
"""Threads that parse bodies. They hold the interpreter's lock most of the time."""


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_MAX_THREADS, "bodies")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a child process has no threads of its parent


class _StrictRequest(Request):
    content: Any = None

    async def json(self) -> Any:
        """Return the translated body."""
        return self.content

    async def parse(self, kind: type[BaseModel]) -> None:
        """Parse, translate and validate the body, unless it is empty.

        Raises:
            RequestValidationError: the body is not JSON, a field is refused, or a value is invalid.
            HTTPException: the body is compressed (415), or has too many values (413).
        """
        body = await self.body()
        set_arrival(self.scope)
        if not body:
            return
        sent = header(self.scope, b"content-type")
        if not _is_json(sent):
            message = f"The {content_type_is(sent)}; it must be application/json"
            raise _invalid("content_type", ("header", "content-type"), message, sent or None)
        work = functools.partial(_read, body, kind, exchange_of(self.scope), body_limits_of(self.app))
        if len(body) <= _SMALL:
            self.content = work()
        else:
            self.content = await asyncio.get_running_loop().run_in_executor(_pool(), work)


class StrictJsonRoute(APIRoute):
    """A route whose body is parsed strictly, in the dialect of the request.

    An endpoint that takes the body and the request alone, and returns a response, is called directly:
    FastAPI's solution of dependencies takes a tenth of the time of a short request.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self._is_direct:
            self.app = self._answer

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, called with a strict request."""
        handle = super().get_route_handler()
        kind = self._kind

        async def strict(request: Request) -> Response:
            strictly = _StrictRequest(request.scope, request.receive)
            if kind:
                await strictly.parse(kind)
            return await handle(strictly)

        return strict

    @property
    def _kind(self) -> type[BaseModel] | None:
        """Type of the body."""
        return self.body_field.field_info.annotation if self.body_field else None  # type: ignore[return-value]

    @property
    def _is_direct(self) -> bool:
        parameters = {name: hint for name, hint in get_type_hints(self.endpoint).items() if name != "return"}
        returns = get_type_hints(self.endpoint).get("return")
        return returns is Response and parameters == {"body": self._kind, "request": Request}

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request of a direct endpoint."""
        request = _StrictRequest(scope, receive)
        assert self._kind
        await request.parse(self._kind)
        if request.content is None:
            raise _invalid("missing", ("body",), "Field required", None)
        response: Response = await self.endpoint(body=request.content, request=request)
        await response(scope, receive, send)


def _read(body: bytes, kind: type[BaseModel], exchange: DialectExchange, limits: BodyLimits) -> BaseModel | None:
    """Return the parsed, translated and validated body; None for null. Raises as ``_StrictRequest.parse``."""
    _check_size(body, limits)
    try:
        sent = parse_json(body)
    except JsonTextError as error:
        raise _invalid("json_invalid", ("body",), str(error), {}) from None
    if not isinstance(sent, dict) and sent is not None:
        raise _invalid("dict_type", ("body",), _no_object(sent), sent)
    try:
        content = exchange.read(sent)
    except RefusedFieldError as error:
        value: Any = exchange.body
        for step in error.where:
            value = value[step]
        raise _invalid(error.kind, ("body", *error.where), str(error), value) from None
    if content is None:
        return None
    try:
        return kind.model_validate(content, from_attributes=True, context=limits.lists)
    except ValidationError as error:
        reasons = error.errors(include_url=False, include_context=False)[:MOST_ERRORS]
        raise RequestValidationError([{**reason, "loc": ("body", *reason["loc"])} for reason in reasons]) from None


def _no_object(sent: Any) -> str:
    message = f"The body is {_KINDS[type(sent)]}; it must be a JSON object"
    return f"{message}. It was written as JSON twice" if isinstance(sent, str) and sent.startswith("{") else message


def _check_size(body: bytes, limits: BodyLimits) -> None:
    size = json_size(body, limits.size)
    for count, most, what in (
        (size.values, limits.size.values, "values"),
        (size.parts, limits.size.parts, "objects, lists and members of objects"),
    ):
        if count > most:
            raise HTTPException(413, f"The body has {count} {what}, and a request may have {most}. Send less at once.")


@functools.lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    """True for application/json and application/...+json."""
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


def _invalid(kind: str, location: tuple[str | int, ...], message: str, value: Any) -> RequestValidationError:
    """Return an error in the form of the wire types' validation errors."""
    return RequestValidationError([{"type": kind, "loc": location, "msg": message, "input": value}])
