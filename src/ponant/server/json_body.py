"""JSON bodies, parsed strictly (no NaN, no lone surrogates, limited nesting) and translated to the Mistral API."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import from_json

from ponant.server.dialects.base import exchange_of
from ponant.server.dialects.table import RefusedFieldError


class _StrictRequest(Request):
    refused: RefusedFieldError | None = None

    async def json(self) -> Any:
        """Return the translated body.

        Raises:
            json.JSONDecodeError: the body is not JSON. It becomes a 422.
            HTTPException: a field is refused.
        """
        body = await self.body()
        try:
            sent = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), body[:100].decode("utf-8", "replace"), 0) from None
        try:
            return exchange_of(self.scope).read(sent)
        except RefusedFieldError as error:
            self.refused = error
            raise HTTPException(422) from error  # FastAPI passes on no other exception


class StrictJsonRoute(APIRoute):
    """A route whose body is parsed strictly, in the dialect of the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, called with a strict request."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            strictly = _StrictRequest(request.scope, request.receive)
            try:
                return await handle(strictly)
            except HTTPException:
                if strictly.refused is None:
                    raise
                raise _invalid(strictly.refused, exchange_of(request.scope).body) from None

        return strict


def _invalid(error: RefusedFieldError, body: Any) -> RequestValidationError:
    """Return the error in the form of the wire types' validation errors."""
    value = body
    for step in error.where:
        value = value[step]
    reason = {"type": error.kind, "loc": ("body", *error.where), "msg": str(error), "input": value}
    return RequestValidationError([reason])
