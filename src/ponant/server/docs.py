"""``/docs``: the API's pages, whose script and style come with an installed package, so that they work offline."""

from pathlib import Path

import swagger_ui_bundle
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_NO_ICON = "data:,"


def add_docs(app: FastAPI) -> None:
    """Serve the pages under ``/docs``."""
    bundle = next(Path(swagger_ui_bundle.__file__).parent.rglob("swagger-ui-bundle.js")).parent
    app.mount("/docs/static", StaticFiles(directory=bundle), name="docs-static")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Ponant API",
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url=_NO_ICON,
        )
