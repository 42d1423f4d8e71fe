"""An application in this process whose only model has a scripted engine."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self, cast

import httpx2

from ponant.catalog.catalog import Catalog
from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.loaded import LoadedModel
from ponant.catalog.spec import ModelSpec
from ponant.engine.base import BackendState, Capabilities, Delta, GenerateRequest, Limits
from ponant.llamacpp.vocabulary import open_vocabulary
from ponant.prompts.build import build_prompts
from ponant.server.wiring import make_app
from ponant.settings import Settings
from ponant.storage.lazy import LazyStorage

CONTEXT = 2048

Script = Sequence[Delta | Exception]
"""What a generation gives, one after the other."""


class ScriptedGeneration:
    """A generation that gives what its script says."""

    def __init__(self, script: Script) -> None:
        self._script = iter(script)
        self.stopped: list[int] = []
        self.cancelled = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        event = None if self.cancelled else next(self._script, None)
        if event is None:
            raise StopAsyncIteration
        if isinstance(event, Exception):
            raise event
        return event

    def stop(self, choice: int) -> None:
        self.stopped.append(choice)

    def cancel(self) -> None:
        self.cancelled = True


class ScriptedEngine:
    """An engine that plays the same script for each request, and keeps what it was asked for."""

    state: BackendState = "ready"
    last_error: str | None = None
    busy = False
    memory = 0
    limits = Limits(context=CONTEXT, parallel=1)
    capabilities = Capabilities(adapters=False)

    def __init__(self, script: Script) -> None:
        self._script = script
        self.requests: list[GenerateRequest] = []
        self.generations: list[ScriptedGeneration] = []

    def describe(self, name: str) -> str:
        return f"{name}, scripted"

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def generate(self, request: GenerateRequest) -> ScriptedGeneration:
        self.requests.append(request)
        self.generations.append(ScriptedGeneration(self._script))
        return self.generations[-1]


def scripted_model(engine: ScriptedEngine, weights: Path) -> LoadedModel:
    """A model with the vocabulary of this file, and this engine."""
    vocabulary = open_vocabulary(weights)
    prompts, fim = build_prompts("scripted", weights, vocabulary, context=CONTEXT, tokenizer=None)
    spec = ModelSpec(str(weights), "scripted", weights)
    facts = ModelFacts("Scripted", None, 0, CONTEXT, 0)
    return LoadedModel(spec, facts, engine, None, vocabulary, prompts, fim)


class OneModel:
    """A catalog of one model."""

    is_open = True
    models: Sequence[Any] = ()
    fine_tuned: Sequence[Any] = ()

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    def find(self, name: str | None, kind: str | None = None) -> LoadedModel:
        return self._model

    @contextlib.asynccontextmanager
    async def use(self, name: str | None, kind: str) -> AsyncIterator[LoadedModel]:
        yield self._model


@contextlib.asynccontextmanager
async def scripted_client(
    engine: ScriptedEngine, weights: Path, data: Path, **settings: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application whose model has this engine."""
    catalog = cast(Catalog, OneModel(scripted_model(engine, weights)))
    app = make_app(catalog, Settings(data_dir=data, **settings), LazyStorage(data))
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client
