"""``/docs``: the API's reference pages. Their script and style come from an installed package, so they work offline."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

_NO_ICON = "data:,"


def add_docs(app: FastAPI) -> None:
    """Serve the pages under ``/docs``, and redirect ``/`` to them."""
    app.mount("/docs/static", StaticFiles(directory=_static_files()), name="docs-static")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Ponant API",
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url=_NO_ICON,
        )

    @app.get("/", include_in_schema=False)
    async def start() -> RedirectResponse:
        return RedirectResponse("/docs")


def _static_files() -> Path:
    package = find_spec("fastapi_offline")
    assert package and package.origin
    return Path(package.origin).parent / "static"
