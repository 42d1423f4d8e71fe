"""``/v1/chat/completions``."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ponant.api.chat import ChatCompletionRequest, ChatCompletionResponse, CompletionEvent
from ponant.completion.service import ChatService
from ponant.server.json_body import StrictJsonRoute
from ponant.server.sse import EventStream, cancelled_on_disconnect

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"$ref": f"#/components/schemas/{CompletionEvent.__name__}"}}}}
}


def chat_routes(service: ChatService, *, keep_alive: float) -> APIRouter:
    """The routes of chat, answered by ``service``; ``keep_alive`` as for ``EventStream``."""
    router = APIRouter(tags=["chat"], route_class=StrictJsonRoute)

    @router.post(
        "/v1/chat/completions",
        summary="Chat Completion",
        response_model=ChatCompletionResponse,
        responses=_STREAM,
    )
    async def chat_completion(body: ChatCompletionRequest, request: Request) -> Response:
        completion = await service.start(body)
        if body.stream:
            return EventStream(completion, keep_alive=keep_alive)
        async with cancelled_on_disconnect(completion, request.receive):
            response = await completion.collect()
        return Response(response.model_dump_json(exclude_unset=True), media_type="application/json")

    return router
