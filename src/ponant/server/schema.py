"""``/openapi.json``: the description of the API that programs read."""

import json
import threading

from fastapi import FastAPI, Request
from fastapi.responses import Response

from ponant.server.code_samples import with_samples

_SCHEMA = "/openapi.json"
_METHODS = ["GET", "HEAD"]


def add_schema(app: FastAPI, *, has_keys: bool) -> None:
    """Serve the schema, with code samples for the address that it is asked for at.

    Args:
        app: the application.
        has_keys: True if the server has keys, so that the samples send one.
    """
    building = threading.Lock()

    @app.api_route(_SCHEMA, methods=_METHODS, include_in_schema=False)
    def schema(request: Request) -> Response:  # in a thread, because building it takes a fifth of a second
        with building:
            document = app.openapi()
        document = with_samples(document, str(request.base_url), has_keys=has_keys)
        return Response(json.dumps(document, ensure_ascii=False, separators=(",", ":")), media_type="application/json")
