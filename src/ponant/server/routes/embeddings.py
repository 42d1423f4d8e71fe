"""``/v1/embeddings``."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ponant.api.embeddings import EmbeddingRequest, EmbeddingResponse
from ponant.completion.completion import RequestTimeoutError
from ponant.embedding.service import EmbeddingService
from ponant.server.json_body import StrictJsonRoute
from ponant.server.sse import cancelled_on_disconnect

_CLIENT_GONE = 499


def embeddings_routes(service: EmbeddingService, *, request_timeout: float) -> APIRouter:
    """The routes of embeddings, answered by ``service`` within ``request_timeout`` seconds."""
    router = APIRouter(tags=["embeddings"], route_class=StrictJsonRoute)

    @router.post("/v1/embeddings", summary="Embeddings", response_model=EmbeddingResponse)
    async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
        embedding = asyncio.create_task(service.embed(body))
        async with cancelled_on_disconnect(embedding, request.receive):
            done, _ = await asyncio.wait({embedding}, timeout=request_timeout)
        if not done:
            embedding.cancel()
            raise RequestTimeoutError
        if embedding.cancelled():
            return Response(status_code=_CLIENT_GONE)
        content = await asyncio.to_thread(embedding.result().model_dump_json, exclude_unset=True)
        return Response(content, media_type="application/json")

    return router
