"""``/openapi.json``: the description of the API that programs read."""

import json
import threading

from fastapi import FastAPI
from fastapi.responses import Response

_SCHEMA = "/openapi.json"
_METHODS = ["GET", "HEAD"]


def add_schema(app: FastAPI) -> None:
    """Serve the schema."""
    building = threading.Lock()

    @app.api_route(_SCHEMA, methods=_METHODS, include_in_schema=False)
    def schema() -> Response:  # in a thread, because building it takes a fifth of a second
        with building:
            document = app.openapi()
        return Response(json.dumps(document, ensure_ascii=False, separators=(",", ":")), media_type="application/json")
