"""The application: routes, middleware and error handlers."""

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from ponant._version import __version__
from ponant.server.body_limits import read_body_limits, set_body_limits
from ponant.server.collection import CollectionPauses
from ponant.server.dialects.detection import DialectDetection
from ponant.server.document.documents import Documents
from ponant.server.errors import add_error_handlers
from ponant.server.fingerprint import backend_fingerprint
from ponant.server.middleware import BodyLimit, HeadLimit, Keys, LoopbackHosts, OwnPages, PlainBodies, RequestLog
from ponant.server.multipart import LONGEST_VALUE, MOST_FIELDS
from ponant.server.recent_requests import RecentRequests
from ponant.server.routes.chat import chat_routes
from ponant.server.routes.code import CODE_PATH, LARGEST_CODE_REQUEST, code_routes
from ponant.server.routes.documents import documents_routes
from ponant.server.routes.embeddings import embeddings_routes
from ponant.server.routes.files import files_routes
from ponant.server.routes.fim import fim_routes
from ponant.server.routes.fine_tuning import fine_tuned_routes, fine_tuning_routes
from ponant.server.routes.health import health_routes
from ponant.server.routes.job_reports import job_reports_routes
from ponant.server.routes.models import models_routes
from ponant.server.routes.pages import pages_routes
from ponant.server.routes.status import status_routes
from ponant.server.routes.text import text_routes
from ponant.server.services import Services
from ponant.server.status import StatusReader
from ponant.settings import Settings

_FORM_SIZE = 2 * MOST_FIELDS * LONGEST_VALUE
"""Size limit of an upload form without the file, in bytes."""


def create_app(services: Services, settings: Settings, *, stopping: Callable[[], bool] = lambda: False) -> FastAPI:
    """Create the application. Its lifespan runs the services.

    Args:
        services: services that the routes call.
        settings: settings of the server.
        stopping: returns True while the server shuts down; readiness then fails.
    """
    recent = RecentRequests()
    status = StatusReader(services.catalog, services.storage, recent, stopping=stopping)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with services.running(), contextlib.aclosing(status):
            yield

    app = FastAPI(
        title="Ponant",
        version=__version__,
        openapi_url=None,
        redirect_slashes=False,  # DialectDetection removes slashes at the end of paths
        lifespan=lifespan,
        **_without_telemetry(),
    )
    set_body_limits(app, read_body_limits(settings))
    _add_routes(app, services, settings, stopping)
    app.include_router(status_routes(status))
    app.include_router(documents_routes(Documents(app, services.catalog, settings)))
    if settings.pages:
        app.include_router(code_routes(has_keys=bool(settings.api_keys)))
        app.include_router(pages_routes(settings))
    add_error_handlers(app)
    _add_middleware(app, settings, recent)
    return app


def _add_routes(app: FastAPI, services: Services, settings: Settings, stopping: Callable[[], bool]) -> None:
    catalog, storage, registry = services.catalog, services.storage, services.registry
    for routes in (
        chat_routes(services.chat, keep_alive=settings.keep_alive, calls=settings.stream_calls),
        fim_routes(services.fim, keep_alive=settings.keep_alive),
        text_routes(services.text, keep_alive=settings.keep_alive),
        embeddings_routes(services.embeddings, request_timeout=settings.request_timeout),
        models_routes(catalog, registry),
        job_reports_routes(services.fine_tuning),
        fine_tuning_routes(services.fine_tuning, storage),
        fine_tuned_routes(catalog, registry),
        files_routes(storage, max_file_size=settings.max_file_size),
        health_routes(catalog, stopping),
    ):
        app.router.routes += routes.routes  # ``include_router`` of newer versions matches every path twice


def _add_middleware(app: FastAPI, settings: Settings, recent: RecentRequests) -> None:
    """Add the middleware. The last one added receives a request first."""
    app.add_middleware(
        BodyLimit,
        limit=settings.max_body_size,
        others={
            ("POST", "/v1/files"): settings.max_file_size + _FORM_SIZE,
            ("POST", CODE_PATH): min(LARGEST_CODE_REQUEST, settings.max_body_size),
        },
    )
    app.add_middleware(PlainBodies)
    if settings.api_keys:
        app.add_middleware(Keys, keys=settings.api_keys)
    else:
        app.add_middleware(OwnPages, allowed=[origin.lower() for origin in settings.cors_origins])
        if settings.auth:
            app.add_middleware(LoopbackHosts)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(HeadLimit)
    app.add_middleware(
        DialectDetection,
        default=settings.dialect,
        strict=settings.strict,
        public_names=settings.public_names,
        fingerprint=backend_fingerprint(settings),
    )
    app.add_middleware(RequestLog, recent=recent)
    app.add_middleware(CollectionPauses)


def _without_telemetry() -> dict[str, Any]:
    """Return the argument that ends the search for OpenTelemetry at every request, in versions that have it."""
    off = {"tracing": False, "metrics": False, "logs": False}
    return {"telemetry": off} if "telemetry" in inspect.signature(FastAPI).parameters else {}
