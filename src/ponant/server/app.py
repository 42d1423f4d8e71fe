"""The application: routes, middleware and errors put together."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from ponant._version import __version__
from ponant.api.chat import CompletionEvent
from ponant.api.errors import HTTPValidationErrorData, ValidationError
from ponant.catalog.catalog import Catalog
from ponant.completion.chat import ChatService
from ponant.completion.fim import FimService
from ponant.completion.generation import CompletionStarter
from ponant.completion.text import TextService
from ponant.embedding.service import EmbeddingService
from ponant.fine_tuning.registry import ModelRegistry
from ponant.fine_tuning.service import JobService
from ponant.server.dialects.detection import DialectDetection
from ponant.server.docs import add_docs
from ponant.server.errors import add_error_handlers
from ponant.server.middleware import BodyLimit, Keys, LoopbackHosts, RequestIds
from ponant.server.routes.chat import chat_routes
from ponant.server.routes.embeddings import embeddings_routes
from ponant.server.routes.files import files_routes
from ponant.server.routes.fim import fim_routes
from ponant.server.routes.fine_tuning import fine_tuned_routes, jobs_routes
from ponant.server.routes.health import health_routes
from ponant.server.routes.models import models_routes
from ponant.server.routes.text import text_routes
from ponant.settings import Settings
from ponant.storage.lazy import LazyStorage

logger = logging.getLogger("ponant.server")

_FORM_SIZE = 2**16
"""Bytes of a form with a file beside the file itself."""


def create_app(
    catalog: Catalog, settings: Settings, storage: LazyStorage, *, stopping: Callable[[], bool] = lambda: False
) -> FastAPI:
    """The application that serves the catalog's models.

    Args:
        catalog: the models; whoever opened it closes it. The application's lifespan ends all else.
        settings: how to serve them.
        storage: what is kept; whoever opened it closes it.
        stopping: whether the server is about to end and should get no new requests.
    """
    completions = CompletionStarter(
        catalog,
        request_timeout=settings.request_timeout,
        always_reuse=settings.prefix_cache == "always",
    )
    chat = ChatService(catalog, completions, safe_prompt=settings.safe_prompt)

    registry = ModelRegistry(catalog, storage)
    jobs_changed = asyncio.Event()

    async def run_jobs() -> None:
        opened = await storage.when_in_use()
        from ponant.fine_tuning.job_type import FineTuningJobType
        from ponant.jobs.runner import Runner

        fine_tuning = FineTuningJobType(catalog, opened, registry, nice=settings.training_nice)
        await Runner(fine_tuning, changed=jobs_changed).run()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await registry.sync()
        following = [asyncio.create_task(work) for work in (registry.follow(), run_jobs())]
        for task in following:
            task.add_done_callback(_log_failure)
        try:
            yield
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
            await chat.close()

    app = _Application(title="Ponant", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.include_router(chat_routes(chat, keep_alive=settings.keep_alive, calls=settings.stream_calls))
    app.include_router(fim_routes(FimService(completions), keep_alive=settings.keep_alive))
    app.include_router(text_routes(TextService(completions), keep_alive=settings.keep_alive))
    app.include_router(embeddings_routes(EmbeddingService(catalog), request_timeout=settings.request_timeout))
    app.include_router(models_routes(catalog, registry))
    jobs = JobService(catalog, storage, wake=jobs_changed.set, nice=settings.training_nice)
    app.include_router(jobs_routes(jobs, storage))
    app.include_router(fine_tuned_routes(catalog, registry))
    app.include_router(files_routes(storage, max_file_size=settings.max_file_size))
    app.include_router(health_routes(catalog, stopping))
    add_docs(app)
    add_error_handlers(app)
    app.add_middleware(
        BodyLimit, limit=settings.max_body_size, larger={("POST", "/v1/files"): settings.max_file_size + _FORM_SIZE}
    )
    if settings.api_keys:
        app.add_middleware(Keys, keys=settings.api_keys)
    elif settings.auth:
        app.add_middleware(LoopbackHosts)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(DialectDetection, default=settings.dialect, strict=settings.strict)
    app.add_middleware(RequestIds)
    return app


def _log_failure(task: asyncio.Task[None]) -> None:
    """Have it known that something that should never end did."""
    if not task.cancelled() and task.exception():
        logger.error("fine-tuning has stopped until the next start", exc_info=task.exception())


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The schema, with the types that no route names: those of events and of refused bodies."""
        if not self.openapi_schema:
            schema = super().openapi()
            schemas: dict[str, Any] = schema["components"]["schemas"]
            for kind in (CompletionEvent, HTTPValidationErrorData, ValidationError):
                definition = kind.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= definition.pop("$defs", {})
                schemas[definition["title"]] = definition
        return super().openapi()
