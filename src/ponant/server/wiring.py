"""The wiring of a server: creates its parts from the settings and connects them."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from ponant.catalog.catalog import Catalog
from ponant.catalog.loading.embedders import EmbedderLoader
from ponant.catalog.loading.llama import LlamaLoader
from ponant.catalog.loading.local import LocalLoader
from ponant.catalog.loading.templates import TemplateChecker
from ponant.catalog.spec import LOCAL, ModelSpec
from ponant.engine.base import Engine
from ponant.engine.embed.base import Embedder, EmbedderConfig
from ponant.engine.embed.process import EmbedderProcess
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.process import EngineProcess
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.processes.heartbeat import Patience
from ponant.server.specs import model_aliases, model_specs
from ponant.settings import Settings
from ponant.storage.lazy import LazyStorage

# Importing the application takes as long as loading a small model, so functions import it while the worker loads.
if TYPE_CHECKING:
    from fastapi import FastAPI

    from ponant.server.services import Services


def make_catalog(
    settings: Settings,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Catalog:
    """Create the catalog of the models in the settings. No model is loaded.

    Args:
        settings: settings of the server.
        say: prints a line for the user at the terminal while weights are prepared.

    Raises:
        ModelNotFoundError: weights were not found, or a name is ambiguous.
        ModelLoadError: a file is not a model.
    """
    specs = model_specs(settings)
    patience = _patience(settings)

    def engine_for(config: EngineConfig) -> EngineProcess:
        return EngineProcess(config, queue_limit=settings.queue_limit, patience=patience)

    def embedder_for(config: EmbedderConfig) -> Embedder:
        return EmbedderProcess(config, queue_limit=settings.queue_limit, patience=patience)

    def config_for(spec: ModelSpec) -> EngineConfig:
        return EngineConfig(
            model_path=str(spec.weights),
            context=spec.context,
            kv_memory=spec.kv_memory,
            parallel=spec.parallel,
            threads=spec.threads,
            deterministic=settings.deterministic,
            prefix_cache=_prefix_reuse(settings).enabled,
            prefix_memory=None if settings.prefix_cache_memory is None else int(settings.prefix_cache_memory),
            drafting=settings.drafting,
            flash_attention=settings.flash_attention,
            kv_type=spec.kv_type,
            devices=spec.devices,
        )

    loader = LocalLoader(
        LlamaLoader(
            config_for,
            engine_for,
            templates=TemplateChecker(settings.data_dir / "templates"),
            prepare=_preparing(settings, config_for, engine_for, say),
        ),
        EmbedderLoader(embedder_for),
        threads=[spec.threads for spec in specs if spec.loader == LOCAL],
        memory=None if settings.model_memory is None else int(settings.model_memory),
    )
    return Catalog(
        specs,
        {LOCAL: loader},
        aliases=model_aliases(settings, specs),
        public_names=settings.public_names,
        preload=settings.preload,
        unload_after=settings.unload_after,
    )


async def open_storage(settings: Settings) -> LazyStorage:
    """Return the storage. If there is a database, it is opened now, so that its errors stop the start of the server."""
    storage = LazyStorage(settings.data_dir, settings.database_url)
    if storage.in_use:
        await storage.open()
    return storage


def make_services(catalog: Catalog, settings: Settings, storage: LazyStorage) -> "Services":
    """Create the services of a server. They do not close the catalog and the storage."""
    from ponant.completion.chat import ChatService
    from ponant.completion.fim import FimService
    from ponant.completion.generation import CompletionStarter
    from ponant.completion.text import TextService
    from ponant.embedding.service import EmbeddingService
    from ponant.fine_tuning.registry import ModelRegistry
    from ponant.fine_tuning.service import FineTuningService
    from ponant.server.services import Services

    completions = CompletionStarter(
        catalog, request_timeout=settings.request_timeout, always_reuse=_prefix_reuse(settings).always
    )
    registry = ModelRegistry(catalog, storage)
    jobs_changed = asyncio.Event()

    async def run_fine_tuning() -> None:
        opened = await storage.when_in_use()
        from ponant.fine_tuning.job_type import FineTuningJobType  # here: many servers never need the database
        from ponant.jobs.runner import Runner

        job_type = FineTuningJobType(catalog, opened, registry, nice=settings.training_nice)
        await Runner(job_type, changed=jobs_changed).run()

    return Services(
        catalog=catalog,
        storage=storage,
        completions=completions,
        chat=ChatService(catalog, completions, safe_prompt=settings.safe_prompt),
        fim=FimService(completions),
        text=TextService(completions),
        embeddings=EmbeddingService(catalog),
        registry=registry,
        fine_tuning=FineTuningService(catalog, storage, wake=jobs_changed.set, nice=settings.training_nice),
        background={"fine-tuning": run_fine_tuning, "registration of fine-tuned models": registry.follow},
    )


def make_app(catalog: Catalog, settings: Settings, storage: LazyStorage) -> "FastAPI":
    """Create the application with its services.

    Args:
        catalog: the models. The caller closes it.
        settings: settings of the server.
        storage: files, jobs and fine-tuned models. The caller closes it.
    """
    from ponant.server.app import create_app

    return create_app(make_services(catalog, settings, storage), settings)


def _patience(settings: Settings) -> Patience:
    still = settings.step_timeout
    return Patience(still, step=max(10 * still, settings.request_timeout), loading=max(60.0, still))


@dataclass(frozen=True, slots=True)
class _PrefixReuse:
    """Reuse of cached prefixes: in engines at all, and by seeded requests on an idle server."""

    enabled: bool
    always: bool


def _prefix_reuse(settings: Settings) -> _PrefixReuse:
    return _PrefixReuse(enabled=settings.prefix_cache != "off", always=settings.prefix_cache == "always")


def _preparing(
    settings: Settings,
    config_for: Callable[[ModelSpec], EngineConfig],
    engine_for: Callable[[EngineConfig], Engine],
    say: Callable[[str], None],
) -> Callable[[ModelSpec, GGUFVocabulary], Awaitable[Path]] | None:
    """Return the function that prepares weights; None if the settings disable it."""
    mode = settings.prepare_weights
    if mode == "off":
        return None
    from ponant.weights.prepare import Preparer  # here: few servers prepare weights

    async def prepare(spec: ModelSpec, vocabulary: GGUFVocabulary) -> Path:
        preparer = Preparer(
            settings.data_dir / "prepared",
            mode=mode,
            load=settings.prepare_for,
            threads=spec.threads,
            parallel=spec.parallel,
            engine_for=lambda path: engine_for(structs.replace(config_for(spec), model_path=str(path))),
            say=say,
            progress=_show_progress,
        )
        return await preparer(spec.id, spec.weights, vocabulary)

    return prepare


def _show_progress(done: int, total: int) -> None:
    """Print the progress in per cent on a line that the next one overwrites, if stdout is a terminal."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r{100 * done // total:3} %\r" if done < total else "\r     \r")
        sys.stdout.flush()
