"""Servers on a thread of the test process: the application on a real port, without a process of its own."""

import asyncio
import contextlib
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
import uvicorn
import uvloop
from starlette.types import ASGIApp

from ponant.catalog.catalog import Catalog
from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.embedders import EmbedderLoader
from ponant.catalog.loading.loaded import AnyLoadedModel, LoadedModel
from ponant.catalog.loading.local import LocalLoader
from ponant.catalog.spec import LOCAL, ModelSpec
from ponant.engine.embed.base import Embedder, EmbedderConfig
from ponant.engine.embed.process import EmbedderProcess
from ponant.llamacpp.vocabulary import open_vocabulary
from ponant.processes.core_lock import CoreSlot
from ponant.prompts.build import build_prompts
from ponant.server.connection import server_config
from ponant.server.run import connection_limits, listen, running_app
from ponant.server.wiring import make_app
from ponant.settings import Settings, read_settings
from ponant.storage.lazy import LazyStorage
from ponant.weights.bundled import BUNDLED_EMBEDDER, locate_bundled_embedder
from ponant.weights.store import model_id
from tests.scripted_engine import ScriptedEngine
from tests.serving import THREADS, RunningServer

EXACT: dict[str, Any] = {"flash_attention": False, "kv_type": "f32", "threads": THREADS}
"""Settings under which a tiny F32 model gives equal results for every shape of batch."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class ServerInProcess(RunningServer):
    """Server on its own event loop in this process."""

    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function on the server's event loop and return its result."""

        async def called() -> T:
            return function(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(60)


@dataclass
class ScriptedServer(ServerInProcess):
    """Server whose models are scripted; ``engine`` belongs to the first model."""

    engines: Mapping[str, ScriptedEngine] = field(default_factory=dict)

    @property
    def engine(self) -> ScriptedEngine:
        return next(iter(self.engines.values()))


@contextlib.contextmanager
def serving_in_process(*models: Path | str, **settings: Any) -> Iterator[ServerInProcess]:
    """Serve models on a free port, with a new data folder unless the settings name one."""
    named = {"models": [str(model) for model in models]} if models else {}
    with _settings(named | settings) as read, _listening(read, lambda: running_app(read)) as (url, loop):
        yield ServerInProcess(url, loop)


@contextlib.contextmanager
def serving_scripted(
    vocabulary: Path,
    names: tuple[str, ...] = ("scripted",),
    *,
    engine: Mapping[str, Any] | None = None,
    others: Mapping[str, Path] | None = None,
    embedder: Callable[[EmbedderConfig], Embedder] = EmbedderProcess,
    new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
    **settings: Any,
) -> Iterator[ScriptedServer]:
    """Serve scripted engines, and the bundled embedding model, on a free port.

    Args:
        vocabulary: the GGUF file with the tokens and the chat template of all models.
        names: ids of the models.
        engine: arguments of ``ScriptedEngine``.
        others: further models with the tokens and the chat templates of other files.
        embedder: creates the embedder.
        new_loop: creates the event loop.
        settings: settings of the server.
    """
    tokens = open_vocabulary(vocabulary)
    files = dict.fromkeys(names, vocabulary) | dict(others or {})
    engines = {
        name: ScriptedEngine(tokens if name in names else open_vocabulary(file), **engine or {})
        for name, file in files.items()
    }
    bundled = locate_bundled_embedder()
    specs = [ModelSpec(name, name, file) for name, file in files.items()]
    specs.append(ModelSpec(BUNDLED_EMBEDDER, model_id(BUNDLED_EMBEDDER), bundled, kind="embed", threads=THREADS))
    loader = LocalLoader(ScriptedLoader(engines), EmbedderLoader(embedder), threads=[THREADS] * len(specs))
    with (
        _settings(settings) as read,
        _listening(read, lambda: _scripted_app(read, specs, loader), new_loop) as (url, loop),
    ):
        yield ScriptedServer(url, loop, engines)


class ScriptedLoader:
    """Loader of scripted engines by model id, with tokens and templates of real files."""

    def __init__(self, engines: Mapping[str, ScriptedEngine]) -> None:
        self._engines = engines

    async def describe(self, spec: ModelSpec) -> ModelFacts:
        engine = self._engines[spec.id]
        return ModelFacts(spec.id, "ponant", 1_700_000_000, engine.limits.context, engine.memory, architecture="llama")

    async def load(self, spec: ModelSpec, facts: ModelFacts, slot: CoreSlot) -> AnyLoadedModel:
        engine = self._engines[spec.id]
        tokens = open_vocabulary(spec.weights)
        chat, fim = build_prompts(spec.id, spec.weights, tokens, context=facts.context, tokenizer=None)
        await engine.start()
        return LoadedModel(spec, facts, engine, engine, tokens, chat, fim)


@contextlib.asynccontextmanager
async def _scripted_app(settings: Settings, specs: Sequence[ModelSpec], loader: LocalLoader) -> AsyncIterator[ASGIApp]:
    catalog = Catalog(specs, {LOCAL: loader}, aliases=settings.aliases)
    with contextlib.closing(LazyStorage(settings.data_dir)) as storage:
        await catalog.open()
        try:
            app = make_app(catalog, settings, storage)
            async with app.router.lifespan_context(app):
                yield app
        finally:
            await catalog.close()


@contextlib.contextmanager
def _settings(given: dict[str, Any]) -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="ponant-test-") as folder:
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("PONANT_")]:
                patch.delenv(name)
            read = read_settings(None, **{"port": 0, "data_dir": Path(folder), "training_nice": 0, **given})
        yield read


@contextlib.contextmanager
def _listening(
    settings: Settings,
    make_app: Callable[[], AbstractAsyncContextManager[ASGIApp]],
    new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
) -> Iterator[tuple[str, asyncio.AbstractEventLoop]]:
    """Serve an application on a thread; yield its address and its event loop."""
    with contextlib.closing(listen(settings)) as listener:
        started: Future[asyncio.AbstractEventLoop] = Future()
        ending: Future[None] = Future()

        async def serve() -> None:
            async with make_app() as app:
                config = server_config(app, connection_limits(settings), lifespan="off")
                server = uvicorn.Server(config)
                ending.add_done_callback(lambda _: setattr(server, "should_exit", True))
                started.set_result(asyncio.get_running_loop())
                await server.serve(sockets=[listener])

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=new_loop) as runner:
                    runner.run(serve())
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        thread = threading.Thread(target=run, name="test-server")
        thread.start()
        try:
            loop = started.result(60)
            yield f"http://{settings.host}:{listener.getsockname()[1]}", loop
        finally:
            ending.set_result(None)
            thread.join(60)
            assert not thread.is_alive(), "the server does not end"
