"""``/v1/embeddings``."""

import asyncio
import time

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from ponant.api.embeddings import EmbeddingRequest, EmbeddingResponse
from ponant.embedding.service import EmbeddingService
from ponant.errors import DeadlineExceededError
from ponant.server.arrival import arrival_of
from ponant.server.callers import caller_of
from ponant.server.disconnect import GONE, unless_disconnected
from ponant.server.json_body import StrictJsonRoute


def embeddings_routes(service: EmbeddingService, *, request_timeout: float) -> APIRouter:
    """Return the route of embeddings, answered by ``service`` within ``request_timeout`` seconds."""
    router = APIRouter(tags=["embeddings"], route_class=StrictJsonRoute)

    @router.post("/v1/embeddings", summary="Embeddings", response_model=EmbeddingResponse)
    async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
        try:
            work = service.embed(body, caller_of(request.scope))
            left = arrival_of(request.scope) + request_timeout - time.monotonic()
            response = await unless_disconnected(work, request.receive, limit=max(0.0, left))
        except TimeoutError:
            raise DeadlineExceededError from None
        except ClientDisconnect:
            return Response(status_code=GONE)
        content = await asyncio.to_thread(response.model_dump_json, exclude_unset=True)
        return Response(content, media_type="application/json")

    return router
