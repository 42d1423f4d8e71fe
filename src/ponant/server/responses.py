"""Responses with an answer: whole or streamed."""

import functools
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ponant.api.chat import CompletionEvent
from ponant.completion.answer import Start
from ponant.completion.calls import CallStyle
from ponant.server.disconnect import GONE, started
from ponant.server.request_record import record_of
from ponant.server.serialization import serialised
from ponant.server.sse import StreamedAnswer

STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"$ref": f"#/components/schemas/{CompletionEvent.__name__}"}}}}
}
"""OpenAPI description of streams."""


async def respond(
    start: Start, request: Request, *, stream: bool, keep_alive: float, calls: CallStyle = "whole"
) -> Response:
    """Return the response to a request for completions.

    Args:
        start: starts the answer. It may take a while if the model must be loaded first.
        request: the request; the answer is cancelled when its client disconnects.
        stream: True to send the answer as it is generated.
        keep_alive: as for ``StreamedAnswer``.
        calls: as for ``StreamedAnswer``.
    """
    if stream:
        return StreamedAnswer(start, keep_alive=keep_alive, calls=calls)
    try:
        async with started(start, request.scope, request.receive) as answer:
            with record_of(request.scope).counting(answer):
                response = await answer.collect()
    except ClientDisconnect:
        return Response(status_code=GONE)
    text = await serialised(response.choices, functools.partial(response.model_dump_json, exclude_unset=True))
    return Response(text, media_type="application/json")
