"""``/docs`` and ``/openapi.json``: the API's reference. Scripts and styles come from an installed package."""

import json
import threading
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

_NO_ICON = "data:,"
_SCHEMA = "/openapi.json"
_METHODS = ["GET", "HEAD"]


def add_docs(app: FastAPI) -> None:
    """Serve the schema, and the pages under ``/docs``. Redirect ``/`` to them."""
    building = threading.Lock()

    @app.api_route(_SCHEMA, methods=_METHODS, include_in_schema=False)
    def schema() -> Response:  # in a thread, because building it takes a fifth of a second
        with building:
            document = app.openapi()
        return Response(json.dumps(document, ensure_ascii=False, separators=(",", ":")), media_type="application/json")

    app.mount("/docs/static", StaticFiles(directory=_static_files()), name="docs-static")

    @app.api_route("/docs", methods=_METHODS, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=_SCHEMA,
            title="Ponant API",
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url=_NO_ICON,
        )

    @app.api_route("/", methods=_METHODS, include_in_schema=False)
    async def start() -> RedirectResponse:
        return RedirectResponse("/docs")


def _static_files() -> Path:
    package = find_spec("fastapi_offline")
    assert package and package.origin
    return Path(package.origin).parent / "static"
