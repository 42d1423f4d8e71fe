"""``/v1/fim/completions``."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ponant.api.fim import FIMCompletionRequest, FIMCompletionResponse
from ponant.completion.fim import FimService
from ponant.server.arrival import arrival_of
from ponant.server.callers import caller_of
from ponant.server.json_body import StrictJsonRoute
from ponant.server.request_record import record_of
from ponant.server.responses import STREAM, respond


def fim_routes(service: FimService, *, keep_alive: float) -> APIRouter:
    """Return the route of fill-in-the-middle, answered by ``service``; ``keep_alive`` as for ``respond``."""
    router = APIRouter(tags=["fim"], route_class=StrictJsonRoute)

    @router.post(
        "/v1/fim/completions", summary="Fim Completion", response_model=FIMCompletionResponse, responses=STREAM
    )
    async def fim_completion(body: FIMCompletionRequest, request: Request) -> Response:
        record_of(request.scope).describe(body.model, stream=body.stream)
        return await respond(
            lambda: service.start(body, caller_of(request.scope), arrived=arrival_of(request.scope)),
            request,
            stream=bool(body.stream),
            keep_alive=keep_alive,
        )

    return router
