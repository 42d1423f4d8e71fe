"""Wiring: the one place where the parts of a server are made and put together."""

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
from ponant.catalog.spec import LOCAL, ModelSpec
from ponant.engine.base import Engine
from ponant.engine.embed.base import Embedder, EmbedderConfig
from ponant.engine.embed.process import EmbedderProcess
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.process import EngineProcess
from ponant.llamacpp.vocabulary import Vocabulary
from ponant.server.specs import model_aliases, model_specs
from ponant.settings import Settings
from ponant.storage.lazy import LazyStorage

# The application takes as long to import as a small model to load. So functions import it, while the engine's process
# loads the model.
if TYPE_CHECKING:
    from fastapi import FastAPI

    from ponant.server.services import Services


def make_catalog(
    settings: Settings,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Catalog:
    """The models of the settings, found but not loaded; if none embeds, the bundled one that does, if installed.

    Args:
        settings: what and how to serve.
        say: gets the lines that a person at the terminal should read while weights are prepared.

    Raises:
        ModelNotFoundError: there are no such weights, or a name is not clear.
        ModelLoadError: a file is not a model.
    """
    specs = model_specs(settings)

    def engine_for(config: EngineConfig) -> EngineProcess:
        return EngineProcess(config, queue_limit=settings.queue_limit)

    def embedder_for(config: EmbedderConfig) -> Embedder:
        return EmbedderProcess(config, queue_limit=settings.queue_limit)

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
            kv_type=settings.kv_type,
        )

    loader = LocalLoader(
        LlamaLoader(config_for, engine_for, prepare=_preparing(settings, config_for, engine_for, say)),
        EmbedderLoader(embedder_for),
        threads=[spec.threads for spec in specs],
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
    """The storage. If anything is kept in it, it is open, so that whoever starts the server learns if it cannot be."""
    storage = LazyStorage(settings.data_dir, settings.database_url)
    if storage.in_use:
        await storage.open()
    return storage


def make_services(catalog: Catalog, settings: Settings, storage: LazyStorage) -> "Services":
    """Make the services that answer with the catalog's models. The arguments are closed by their openers."""
    from ponant.completion.chat import ChatService
    from ponant.completion.fim import FimService
    from ponant.completion.generation import CompletionStarter
    from ponant.completion.text import TextService
    from ponant.embedding.service import EmbeddingService
    from ponant.fine_tuning.registry import ModelRegistry
    from ponant.fine_tuning.service import JobService
    from ponant.server.services import Services

    completions = CompletionStarter(
        catalog, request_timeout=settings.request_timeout, always_reuse=_prefix_reuse(settings).always
    )
    registry = ModelRegistry(catalog, storage)
    jobs_changed = asyncio.Event()

    async def run_jobs() -> None:
        opened = await storage.when_in_use()
        from ponant.fine_tuning.job_type import FineTuningJobType  # here, as many servers never need the database
        from ponant.jobs.runner import Runner

        fine_tuning = FineTuningJobType(catalog, opened, registry, nice=settings.training_nice)
        await Runner(fine_tuning, changed=jobs_changed).run()

    return Services(
        catalog=catalog,
        storage=storage,
        chat=ChatService(catalog, completions, safe_prompt=settings.safe_prompt),
        fim=FimService(completions),
        text=TextService(completions),
        embeddings=EmbeddingService(catalog),
        registry=registry,
        jobs=JobService(catalog, storage, wake=jobs_changed.set, nice=settings.training_nice),
        run_jobs=run_jobs,
    )


def make_app(
    catalog: Catalog, settings: Settings, storage: LazyStorage, *, stopping: Callable[[], bool] = lambda: False
) -> "FastAPI":
    """Make the application that serves the catalog's models.

    Args:
        catalog: the models; whoever opened it closes it. The application's lifespan ends all else.
        settings: how to serve them.
        storage: what is kept; whoever opened it closes it.
        stopping: whether the server is about to end and should get no new requests.
    """
    from ponant.server.app import create_app

    return create_app(make_services(catalog, settings, storage), settings, stopping=stopping)


@dataclass(frozen=True, slots=True)
class _PrefixReuse:
    """Reuse of what was computed for other prompts: by engines at all, and by seeded requests, too."""

    enabled: bool
    always: bool


def _prefix_reuse(settings: Settings) -> _PrefixReuse:
    return _PrefixReuse(enabled=settings.prefix_cache != "off", always=settings.prefix_cache == "always")


def _preparing(
    settings: Settings,
    config_for: Callable[[ModelSpec], EngineConfig],
    engine_for: Callable[[EngineConfig], Engine],
    say: Callable[[str], None],
) -> Callable[[ModelSpec, Vocabulary], Awaitable[Path]] | None:
    """What finds or makes other weights for a model, if the settings want that."""
    mode = settings.prepare_weights
    if mode == "off":
        return None
    from ponant.weights.prepare import Preparer  # takes memory and time that few servers need to spend

    async def prepare(spec: ModelSpec, vocabulary: Vocabulary) -> Path:
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
    """How much is done, in a line that the next one overwrites; for people alone."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r{100 * done // total:3} %\r" if done < total else "\r     \r")
        sys.stdout.flush()
