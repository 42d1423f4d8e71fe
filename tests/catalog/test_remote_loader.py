"""Loader of models on another machine, added to the catalog without changes to it."""

import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import pytest

from ponant.catalog.catalog import Catalog
from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.loaded import AnyLoadedModel, LoadedModel
from ponant.catalog.spec import LOCAL, ModelSpec
from ponant.engine.base import Capabilities
from ponant.errors import EngineUnavailableError, ModelLoadError
from ponant.prompts.chat.prompt import PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts
from ponant.server.wiring import make_app
from ponant.settings import Settings
from ponant.storage.lazy import LazyStorage
from tests.scripted_engine import ScriptedEngine

REMOTE = "remote"
END = 256
CONTEXT = 4096
CAPABILITIES = Capabilities(adapters=False, prediction=False)


class ByteVocabulary:
    """Vocabulary with one token per byte and one that ends a completion."""

    end_tokens = frozenset({END})
    size = 257
    adds_bos = False
    bos = None
    eos = END
    fim_tokens = None

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}

    def text(self, token: int | None) -> str:
        return "<end>" if token == END else "" if token is None else bytes([token]).decode("latin-1")

    def piece(self, token: int) -> bytes:
        return b"" if token == END else bytes([token])

    def control_tokens(self) -> dict[str, int]:
        return {"<end>": END}

    def user_defined_tokens(self) -> dict[str, int]:
        return {}

    def written_like(self, texts: Collection[str]) -> frozenset[int]:
        return frozenset(token for token in range(self.size) if self.text(token) in texts)

    def longest_piece(self) -> int:
        return 1

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        return list(text.encode())


class RemoteLoader:
    """Loader that connects to models on another machine and always has room."""

    def __init__(self) -> None:
        self.engines: dict[str, ScriptedEngine] = {}
        self.is_closed = False

    async def describe(self, spec: ModelSpec) -> ModelFacts:
        return ModelFacts(spec.id, "far away", created=1_700_000_000, context=CONTEXT, memory=0, grammars=False)

    def has_room(self, spec: ModelSpec, facts: ModelFacts) -> bool:
        return True

    async def load(self, spec: ModelSpec, facts: ModelFacts) -> LoadedModel:
        vocabulary = ByteVocabulary()
        prompts = PromptBuilder(vocabulary, context=CONTEXT)
        fim = FimPrompts(vocabulary, context=CONTEXT, chat=prompts)
        engine = self.engines[spec.id] = ScriptedEngine(
            vocabulary, context=CONTEXT, capabilities=CAPABILITIES, usual=lambda _: ("Claude", " Monet")
        )
        await engine.start()
        return LoadedModel(spec, facts, engine, None, vocabulary, prompts, fim)

    async def unload(self, model: AnyLoadedModel) -> None:
        await model.backend.stop()

    async def close(self) -> None:
        self.is_closed = True


class FullLoader(RemoteLoader):
    """Loader with room for one model."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def has_room(self, spec: ModelSpec, facts: ModelFacts) -> bool:
        if spec.id == "huge":
            raise ModelLoadError("huge takes more than there is")
        return not self.loaded

    async def load(self, spec: ModelSpec, facts: ModelFacts) -> LoadedModel:
        self.loaded.append(spec.id)
        return await super().load(spec, facts)

    async def unload(self, model: AnyLoadedModel) -> None:
        self.loaded.remove(model.spec.id)
        await super().unload(model)


remote = partial(ModelSpec, path=None, loader=REMOTE)


@contextlib.asynccontextmanager
async def opened(*specs: ModelSpec, **loaders: RemoteLoader) -> AsyncIterator[Catalog]:
    catalog = Catalog(specs, loaders, preload="none")
    await catalog.open()
    try:
        yield catalog
    finally:
        await catalog.close()


async def states_after(catalog: Catalog, name: str) -> dict[str, str]:
    """Return the states of all models after one was used."""
    async with catalog.use(name, "chat"):
        pass
    return {model.spec.id: model.state if model.loaded else "unloaded" for model in catalog.models}


@pytest.mark.parametrize("streamed", [False, True])
async def test_remote_model_answers_with_its_own_vocabulary(streamed: bool, tmp_path: Any) -> None:
    loader = RemoteLoader()
    body = {"messages": [{"role": "user", "content": "Who is the best French painter?"}], "stream": streamed}
    async with opened(remote("https://far.example", "far"), remote=loader) as catalog:
        app = make_app(catalog, Settings(data_dir=tmp_path), LazyStorage(tmp_path))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
            response = await client.post("/v1/chat/completions", json=body)
            card = (await client.get("/v1/models/far")).json()

    assert response.status_code == 200, response.text
    if streamed:
        assert '"content":"Claude"' in response.text
        assert '"content":" Monet"' in response.text
    else:
        assert response.json()["choices"][0]["message"]["content"] == "Claude Monet"
    (prompt,) = loader.engines["far"].prompts
    assert "best French painter" in prompt
    assert (card["owned_by"], card["max_context_length"]) == ("far away", CONTEXT)
    assert card["capabilities"]["fine_tuning"] is False
    assert loader.engines["far"].state == "stopped"
    assert loader.is_closed


async def test_least_recently_used_model_makes_room_for_another_of_its_loader() -> None:
    specs = [remote("a", "a"), remote("b", "b"), replace(remote("c", "c"), loader=LOCAL)]
    async with opened(*specs, remote=FullLoader(), local=RemoteLoader()) as catalog:
        assert await states_after(catalog, "c") == {"a": "unloaded", "b": "unloaded", "c": "ready"}
        assert await states_after(catalog, "a") == {"a": "ready", "b": "unloaded", "c": "ready"}
        assert await states_after(catalog, "b") == {"a": "unloaded", "b": "ready", "c": "ready"}


async def test_model_without_room_is_refused() -> None:
    async with opened(remote("huge", "huge"), remote=FullLoader()) as catalog:
        with pytest.raises(EngineUnavailableError, match="huge takes more than there is"):
            await states_after(catalog, "huge")
        assert catalog.models[0].error == "huge takes more than there is"
