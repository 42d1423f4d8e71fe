"""``/v1/chat/completions``."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ponant.api.chat import ChatCompletionRequest, ChatCompletionResponse
from ponant.completion.calls import CallStyle
from ponant.completion.chat import ChatService
from ponant.server.arrival import arrival_of
from ponant.server.callers import caller_of
from ponant.server.dialects.base import exchange_of
from ponant.server.json_body import StrictJsonRoute
from ponant.server.request_record import record_of
from ponant.server.responses import STREAM, respond


def chat_routes(service: ChatService, *, keep_alive: float, calls: CallStyle) -> APIRouter:
    """Return the route of chat, answered by ``service``; the other arguments as for ``respond``."""
    router = APIRouter(tags=["chat"], route_class=StrictJsonRoute)

    @router.post(
        "/v1/chat/completions", summary="Chat Completion", response_model=ChatCompletionResponse, responses=STREAM
    )
    async def chat_completion(body: ChatCompletionRequest, request: Request) -> Response:
        record_of(request.scope).describe(
            body.model,
            stream=body.stream,
            choices=body.n,
            schema=body.response_format is not None and body.response_format.type != "text",
            tools=len(body.tools or []),
        )
        any_order = exchange_of(request.scope).dialect.any_order
        return await respond(
            lambda: service.start(
                body, caller_of(request.scope), arrived=arrival_of(request.scope), any_order=any_order
            ),
            request,
            stream=bool(body.stream),
            keep_alive=keep_alive,
            calls=calls,
        )

    return router
