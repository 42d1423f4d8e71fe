"""``/v1/completions``: text completions. Only OpenAI's API has this path."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ponant.completion.text import TextRequest, TextService
from ponant.server.arrival import arrival_of
from ponant.server.callers import caller_of
from ponant.server.json_body import StrictJsonRoute
from ponant.server.request_record import record_of
from ponant.server.responses import respond


def text_routes(service: TextService, *, keep_alive: float) -> APIRouter:
    """Return the route of text completions, answered by ``service``; ``keep_alive`` as for ``respond``."""
    router = APIRouter(include_in_schema=False, route_class=StrictJsonRoute)

    @router.post("/v1/completions")
    async def text_completion(body: TextRequest, request: Request) -> Response:
        record_of(request.scope).describe(
            body.model, stream=body.stream, choices=(body.n or 1) * len(body.prompts or [""])
        )
        return await respond(
            lambda: service.start(body, caller_of(request.scope), arrived=arrival_of(request.scope)),
            request,
            stream=bool(body.stream),
            keep_alive=keep_alive,
        )

    return router
