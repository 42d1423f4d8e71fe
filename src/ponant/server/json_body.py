"""JSON bodies, parsed strictly (no NaN, no lone surrogates, limited nesting) and translated to the Mistral API."""

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from ponant.server.arrival import set_arrival
from ponant.server.dialects.base import exchange_of
from ponant.server.dialects.table import RefusedFieldError
from ponant.server.json_text import JsonTextError, parse_json

_LONGEST_ECHO = 100
"""Most characters of an invalid header that an error repeats."""


class _StrictRequest(Request):
    content: Any = None

    async def json(self) -> Any:
        """Return the translated body."""
        return self.content

    async def parse(self) -> None:
        """Parse and translate the body, unless it is empty.

        Raises:
            RequestValidationError: the body is not JSON, or a field is refused.
            HTTPException: the body is compressed (415).
        """
        body = await self.body()
        set_arrival(self.scope)
        if not body:
            return
        kind = self.headers.get("content-type")
        if not _is_json(kind):
            said = f"is {kind[:_LONGEST_ECHO]}" if kind else "is missing"
            message = f"The header Content-Type {said}; it must be application/json"
            raise _invalid("content_type", ("header", "content-type"), message, kind)
        try:
            sent = parse_json(body)
        except JsonTextError as error:
            raise _invalid("json_invalid", ("body",), str(error), {}) from None
        exchange = exchange_of(self.scope)
        try:
            self.content = exchange.read(sent)
        except RefusedFieldError as error:
            value: Any = exchange.body
            for step in error.where:
                value = value[step]
            raise _invalid(error.kind, ("body", *error.where), str(error), value) from None


class StrictJsonRoute(APIRoute):
    """A route whose body is parsed strictly, in the dialect of the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, called with a strict request."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            strictly = _StrictRequest(request.scope, request.receive)
            if self.body_field:
                await strictly.parse()
            return await handle(strictly)

        return strict


def _is_json(content_type: str | None) -> bool:
    """True for application/json and application/...+json."""
    message = Message()
    message["content-type"] = content_type or ""
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


def _invalid(kind: str, location: tuple[str | int, ...], message: str, value: Any) -> RequestValidationError:
    """Return an error in the form of the wire types' validation errors."""
    return RequestValidationError([{"type": kind, "loc": location, "msg": message, "input": value}])
