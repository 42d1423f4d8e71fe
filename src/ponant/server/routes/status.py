"""``/v1/status``: what the pages of the server show."""

from fastapi import APIRouter
from fastapi.responses import Response

from ponant.server.status import StatusReader


def status_routes(reader: StatusReader) -> APIRouter:
    """Return the route of the server's state."""
    router = APIRouter(tags=["status"], include_in_schema=False)

    @router.get("/v1/status")
    async def status() -> Response:
        body = (await reader.read()).model_dump_json(by_alias=True)
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

    return router
