"""``/v1/embeddings``."""

import asyncio
import time
from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect

from ponant.api.embeddings import EmbeddingRequest, EmbeddingResponse
from ponant.completion.figures import AnswerFigures
from ponant.embedding.answer import EmbeddingAnswer
from ponant.embedding.service import EmbeddingService
from ponant.errors import DeadlineExceededError
from ponant.server.arrival import arrival_of
from ponant.server.callers import caller_of
from ponant.server.dialects.base import DialectExchange, exchange_of
from ponant.server.disconnect import GONE, unless_disconnected
from ponant.server.json_body import StrictJsonRoute
from ponant.server.request_record import record_of

_JSON = "application/json"
_NO_DATA = b'"data":[]'
"""Member of a summary that the embeddings are written into; strings have backslashes before their quotes."""
_MOST_HERE = 2**12
"""Most numbers of a response that is written on the event loop."""
_MOST_WHOLE = 2**16
"""Most numbers of a response that is sent whole."""


def embeddings_routes(service: EmbeddingService, *, request_timeout: float) -> APIRouter:
    """Return the route of embeddings, answered by ``service`` within ``request_timeout`` seconds."""
    router = APIRouter(tags=["embeddings"], route_class=StrictJsonRoute)

    @router.post("/v1/embeddings", summary="Embeddings", response_model=EmbeddingResponse)
    async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
        record = record_of(request.scope)
        record.describe(body.model)
        try:
            work = service.embed(body, caller_of(request.scope))
            left = arrival_of(request.scope) + request_timeout - time.monotonic()
            answer = await unless_disconnected(work, request.scope, request.receive, limit=max(0.0, left))
        except TimeoutError:
            raise DeadlineExceededError from None
        except ClientDisconnect:
            return Response(status_code=GONE)
        record.figures = AnswerFigures(answer.model_id, answer.tokens)
        exchange = exchange_of(request.scope)
        exchange.is_written = True
        pieces = _pieces(answer, exchange)
        if answer.numbers.size > _MOST_WHOLE:
            return StreamingResponse(pieces, media_type=_JSON)  # the pieces are written in threads
        is_small = answer.numbers.size <= _MOST_HERE
        return Response(b"".join(pieces) if is_small else await asyncio.to_thread(b"".join, pieces), media_type=_JSON)

    return router


def _pieces(answer: EmbeddingAnswer, exchange: DialectExchange) -> Iterator[bytes]:
    """Yield the JSON of a response in the dialect of its request."""
    summary = answer.summary().model_dump_json(exclude_unset=True).encode()
    head, _, tail = exchange.answers.whole(200, summary)[1].partition(_NO_DATA)
    yield head + _NO_DATA[:-1]
    yield from answer.entries()
    yield b"]" + tail
