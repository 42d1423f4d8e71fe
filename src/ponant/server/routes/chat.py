"""``/v1/chat/completions``."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ponant.api.chat import ChatCompletionRequest, ChatCompletionResponse
from ponant.completion.chat import ChatService
from ponant.server.json_body import StrictJsonRoute
from ponant.server.sse import STREAM, answer


def chat_routes(service: ChatService, *, keep_alive: float) -> APIRouter:
    """The routes of chat, answered by ``service``; ``keep_alive`` as for ``EventStream``."""
    router = APIRouter(tags=["chat"], route_class=StrictJsonRoute)

    @router.post(
        "/v1/chat/completions", summary="Chat Completion", response_model=ChatCompletionResponse, responses=STREAM
    )
    async def chat_completion(body: ChatCompletionRequest, request: Request) -> Response:
        return await answer(lambda: service.start(body), request, stream=bool(body.stream), keep_alive=keep_alive)

    return router
