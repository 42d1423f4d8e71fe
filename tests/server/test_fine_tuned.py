"""Fine-tuned models over HTTP: served together with their base, and added, archived and deleted under load."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from sqlalchemy.orm import Session

from ponant.catalog.catalog import Catalog
from ponant.catalog.loading.loaded import LoadedModel
from ponant.engine.llama.process import EngineProcess
from ponant.fine_tuning.registry import ModelRegistry
from ponant.model_settings import ModelSettings
from ponant.server.run import listen
from ponant.server.wiring import make_app, make_catalog
from ponant.settings import Settings
from ponant.storage.lazy import LazyStorage
from ponant.storage.tables import FineTunedModelRow, FineTuningJobRow
from ponant.training import support
from tests.tiny_adapter import write_tiny_adapter
from tests.tiny_model import write_tiny_model

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]
NAMES = ["ft:tiny:one:20261121:aaaa1111", "ft:tiny:two:20261121:bbbb2222", "ft:tiny:three:20261121:cccc3333"]


@dataclass
class Server:
    """Server in this process, with a client of its own."""

    catalog: Catalog
    client: httpx2.AsyncClient
    storage: LazyStorage

    async def add(self, name: str, adapter: Path, *, base: str = "tiny") -> Path:
        """Add a model with its succeeded job, as another server with the same data would; return the model's folder."""
        job_id = str(uuid.uuid4())
        common = {"base": base, "created_at": 1_700_000_000}
        lists: dict[str, Any] = {"training_files": [], "validation_files": [], "integrations": []}
        job = FineTuningJobRow(
            **common,
            **lists,
            id=job_id,
            status="SUCCESS",
            model=base,
            auto_start=True,
            hyperparameters={},
            invalid_sample_skip_percentage=0,
            modified_at=0,
        )
        model = FineTunedModelRow(**common, id=name, job_id=job_id, root=base, archived=False)
        path = self.storage.open_now().fine_tuned.adapter(model)
        path.parent.mkdir(parents=True)
        shutil.copy(adapter, path)

        def write(session: Session) -> None:
            session.add(job)
            session.flush()
            session.add(model)

        await self.storage.open_now().database.write(write)
        await ModelRegistry(self.catalog, self.storage).sync()
        return path.parent

    async def ask(self, model: str | None, **fields: Any) -> httpx2.Response:
        body = {"messages": HELLO, "max_tokens": 12, "temperature": 0.8, "random_seed": 3, **fields}
        return await self.client.post(CHAT, json=body | ({"model": model} if model else {}))

    async def text(self, model: str | None, **fields: Any) -> str:
        response = await self.ask(model, **fields)
        assert response.status_code == 200, response.text
        assert response.json()["model"] == (model or "tiny")
        text: str = response.json()["choices"][0]["message"]["content"]
        return text

    async def cards(self) -> dict[str, dict[str, Any]]:
        return {card["id"]: card for card in (await self.client.get("/v1/models")).json()["data"]}

    @contextlib.asynccontextmanager
    async def stream(self, model: str, **fields: Any) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        body = {"model": model, "messages": HELLO, "max_tokens": 200, "min_tokens": 200, "stream": True, **fields}
        async with self.client.stream("POST", CHAT, json=body) as response:
            assert response.status_code == 200
            lines = response.aiter_lines()
            yield (json.loads(line[6:]) async for line in lines if line.startswith("data: {"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, and adapters for them."""
    folder = tmp_path_factory.mktemp("fine-tuned")
    write_tiny_model(folder / "tiny.gguf", context_length=4096)
    write_tiny_model(folder / "other.gguf", seed=1)
    for seed, name in enumerate(NAMES):
        write_tiny_adapter(folder / f"{name}.gguf", seed=seed)
    return folder


@contextlib.asynccontextmanager
async def serving(folder: Path, names: list[str], **changes: Any) -> AsyncIterator[Server]:
    models = [ModelSettings(source=str(folder / f"{name}.gguf")) for name in ("tiny", "other")]
    settings = Settings(models=models, port=0, threads=1, flash_attention=False, kv_type="f32", **changes)
    catalog = make_catalog(settings)
    with (
        tempfile.TemporaryDirectory() as data_dir,
        contextlib.closing(LazyStorage(Path(data_dir))) as storage,
        contextlib.closing(listen(settings)) as listener,
    ):
        config = uvicorn.Config(make_app(catalog, settings, storage), log_config=None, lifespan="on")
        uvicorn_server = uvicorn.Server(config)
        uvicorn_server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        await catalog.open()
        running = asyncio.create_task(uvicorn_server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with httpx2.AsyncClient(base_url=url, timeout=120) as client:
                server = Server(catalog, client, storage)
                for name in names:
                    await server.add(name, folder / f"{name}.gguf")
                yield server
        finally:
            uvicorn_server.should_exit = True
            await running
            await catalog.close()


@pytest.fixture(scope="module")
async def server(folder: Path) -> AsyncIterator[Server]:
    """Server with two fine-tuned models. Tests must leave it unchanged."""
    async with serving(folder, NAMES[:2]) as server:
        yield server


async def test_fine_tuned_models_are_described(server: Server) -> None:
    cards = await server.cards()
    assert list(cards) == ["tiny", "other", "multilingual-e5-small", *NAMES[:2]]
    base, card = cards["tiny"], cards[NAMES[0]]
    assert (card["type"], card["root"]) == ("fine-tuned", "tiny")
    assert (await server.client.get(f"/v1/fine_tuning/jobs/{card['job']}")).json()["id"] == card["job"]
    assert (card["created"], card["archived"]) == (1_700_000_000, False)
    for key in ("max_context_length", "default_model_temperature"):
        assert card[key] == base[key]
    assert card["capabilities"] == base["capabilities"] | {"fine_tuning": False}
    assert base["capabilities"]["fine_tuning"]
    assert (await server.client.get(f"/v1/models/{NAMES[0]}")).json() == card


async def test_base_and_fine_tuned_models_answer_side_by_side_as_they_do_alone(server: Server) -> None:
    names = ["tiny", *NAMES[:2]]
    alone = {name: [await server.text(name, random_seed=seed) for seed in range(4)] for name in names}
    assert len({str(answers) for answers in alone.values()}) == 3
    together = await asyncio.gather(*(server.text(name, random_seed=seed) for seed in range(4) for name in names))
    assert {name: together[index::3] for index, name in enumerate(names)} == alone
    base = server.catalog.base_of(server.catalog.fine_tuned[0])
    assert base and isinstance(base.loaded, LoadedModel) and base.loaded.adapters
    assert set(base.loaded.adapters.adapters) == set(NAMES[:2])


async def test_fine_tuned_model_fills_in_code(server: Server) -> None:
    def body(model: str) -> dict[str, Any]:
        return {"model": model, "prompt": "def f(", "suffix": "return 3", "max_tokens": 12, "random_seed": 1}

    base, tuned = [await server.client.post("/v1/fim/completions", json=body(name)) for name in ("tiny", NAMES[0])]
    assert tuned.status_code == 200
    assert tuned.json()["model"] == NAMES[0]
    assert tuned.json()["usage"]["prompt_tokens"] == base.json()["usage"]["prompt_tokens"]
    assert tuned.json()["choices"] != base.json()["choices"]


async def test_prompts_are_cached_for_each_model_apart(server: Server) -> None:
    messages = [{"role": "user", "content": "The same long question for everybody, " * 5}]
    cached: list[int] = []
    most = 0
    for name in ("tiny", NAMES[0], "tiny", NAMES[0], NAMES[1]):
        body = {"model": name, "messages": messages, "max_tokens": 2, "temperature": 0.8}
        usage = (await server.client.post(CHAT, json=body)).json()["usage"]
        cached.append(usage["num_cached_tokens"])
        most = usage["prompt_tokens"] - 1
    # Earlier tests cached the common beginning of all prompts.
    assert cached[2:4] == [most, most]
    assert all(count < 64 for count in (cached[0], cached[1], cached[4]))


async def test_models_come_and_go_while_requests_run(server: Server, folder: Path) -> None:
    new = NAMES[2]
    unknown = await server.ask(new)
    assert (unknown.status_code, unknown.json()["message"]) == (400, f"Invalid model: {new}")
    async with server.stream("tiny") as running:
        await anext(running)
        files = await server.add(new, folder / f"{new}.gguf")
        answer = await server.text(new)
        async with server.stream(new) as own:
            await anext(own)
            deleted = await server.client.delete(f"/v1/models/{new}")
            assert deleted.json() == {"id": new, "object": "model", "deleted": True}
            assert not files.exists()
            assert (await server.ask(new)).status_code == 400
            assert (await server.client.get(f"/v1/models/{new}")).status_code == 404
            assert (await server.client.delete(f"/v1/models/{new}")).status_code == 404
            assert new not in await server.cards()
            for stream in (own, running):
                last = [chunk async for chunk in stream][-1]
                assert last["choices"][0]["finish_reason"] == "length"
    await server.add(new, folder / f"{new}.gguf")
    async with asyncio.timeout(30):
        while (again := await server.ask(new)).status_code == 503:  # until the adapter of the deleted model is unloaded
            await asyncio.sleep(0.01)
    assert again.json()["choices"][0]["message"]["content"] == answer
    assert (await server.client.delete(f"/v1/models/{new}")).status_code == 200


async def test_archived_models_are_listed_and_refused(server: Server) -> None:
    name = NAMES[0]
    answer = await server.text(name)
    archive = f"/v1/fine_tuning/models/{name}/archive"
    async with server.stream(name) as running:
        await anext(running)
        assert (await server.client.post(archive)).json() == {"id": name, "object": "model", "archived": True}
        changes = {"name": "Old", "description": "Not used any more"}
        changed = (await server.client.patch(f"/v1/fine_tuning/models/{name}", json=changes)).json()
        assert changed | changes | {"archived": True, "root": "tiny", "model_type": "completion"} == changed
        card = (await server.client.get(f"/v1/models/{name}")).json()
        assert (card["archived"], card["name"], card["description"]) == (True, "Old", "Not used any more")
        for path, body in ((CHAT, {"messages": HELLO}), ("/v1/fim/completions", {"prompt": "a"})):
            refused = await server.client.post(path, json={"model": name, **body})
            assert refused.status_code == 400
            assert refused.json()["message"] == f"Invalid model: {name} is archived; unarchive it to use it"
            assert (refused.json()["type"], refused.json()["code"]) == ("invalid_model", "1500")
        assert [chunk async for chunk in running][-1]["choices"][0]["finish_reason"] == "length"
    assert (await server.client.delete(archive)).json() == {"id": name, "object": "model", "archived": False}
    assert await server.text(name) == answer


@pytest.mark.parametrize("name", ["ft:tiny:unknown:20261121:x", "tiny"])
async def test_only_models_that_jobs_made_can_be_changed(server: Server, name: str) -> None:
    path = f"/v1/fine_tuning/models/{name}"
    refused = [
        await server.client.patch(path, json={"name": "A"}),
        await server.client.post(f"{path}/archive"),
        await server.client.delete(f"{path}/archive"),
    ]
    assert [response.status_code for response in refused] == [404] * 3
    assert all(response.json()["object"] == "error" for response in refused)


async def test_adapter_that_cannot_be_loaded_and_base_that_is_not_there_are_told(server: Server, folder: Path) -> None:
    await server.add("ft:tiny:bad:1:x", folder / "tiny.gguf")
    await server.add("ft:gone:fine:1:x", folder / f"{NAMES[0]}.gguf", base="gone")
    refused = await server.ask("ft:tiny:bad:1:x")
    assert refused.status_code == 503
    assert refused.json()["message"].startswith("Service unavailable: the model ft:tiny:bad:1:x cannot be loaded: ")
    refused = await server.ask("ft:gone:fine:1:x")
    assert refused.status_code == 400
    assert refused.json()["message"].endswith("ft:gone:fine:1:x was made from gone, which this server does not have")
    cards = await server.cards()
    assert not any(cards["ft:gone:fine:1:x"]["capabilities"].values())
    for name in ("ft:tiny:bad:1:x", "ft:gone:fine:1:x"):
        assert (await server.client.delete(f"/v1/models/{name}")).status_code == 200
    assert await server.text("tiny")


async def test_dead_engine_comes_back_with_its_fine_tuned_models(server: Server) -> None:
    before = [await server.text(name) for name in ("tiny", *NAMES[:2])]
    (base,) = [model for model in server.catalog.models if model.spec.id == "tiny"]
    assert isinstance(base.loaded, LoadedModel)
    assert isinstance(base.loaded.engine, EngineProcess)
    assert base.loaded.engine.process_id
    os.kill(base.loaded.engine.process_id, signal.SIGKILL)
    async with asyncio.timeout(30):
        while base.state == "ready":
            await asyncio.sleep(0.01)
    assert [await server.text(name) for name in ("tiny", *NAMES[:2])] == before


async def test_base_makes_room_for_others_only_when_its_fine_tuned_models_are_idle(folder: Path) -> None:
    limits = {"model_memory": "8MB", "kv_memory": "4MB"}
    async with serving(folder, NAMES[:1], **limits) as server:
        async with server.stream(NAMES[0], max_tokens=300, min_tokens=300) as running:
            await anext(running)
            asking = asyncio.create_task(server.ask("other"))
            last = [chunk async for chunk in running][-1]
            assert last["choices"][0]["finish_reason"] == "length"
        assert (await asking).status_code == 200
        assert [model.spec.id for model in server.catalog.models if model.loaded] == ["other"]
        assert await server.text(NAMES[0])
        assert [model.spec.id for model in server.catalog.models if model.loaded] == ["tiny"]


async def test_adapters_not_used_for_longest_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponant.engine.llama.process.EngineProcess.most_adapters", 2)
    async with serving(folder, NAMES) as server:
        texts = [await server.text(name) for name in NAMES]
        (host,) = [model.loaded.adapters for model in server.catalog.models if isinstance(model.loaded, LoadedModel)]
        assert host is not None
        assert list(host.adapters) == NAMES[1:]
        assert await asyncio.gather(*(server.text(name) for name in NAMES * 3)) == texts * 3
        assert len(host.adapters) == 2


async def test_without_the_extra_nothing_is_trained_and_all_else_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "find_spec", lambda name: None if name == "peft" else find_spec(name))
    support.missing_package.cache_clear()
    try:
        job = {"model": "tiny", "training_files": [{"file_id": str(uuid.uuid4())}], "hyperparameters": {}}
        for query in ("", "?dry_run=true"):
            refused = await server.client.post(f"/v1/fine_tuning/jobs{query}", json=job)
            assert (refused.status_code, refused.json()["type"]) == (400, "not_installed")
            assert "install Ponant with the extra finetune" in refused.json()["message"]
        assert (await server.client.get("/v1/fine_tuning/jobs")).status_code == 200
        assert not (await server.cards())["tiny"]["capabilities"]["fine_tuning"]
        assert await server.text(NAMES[0])
    finally:
        support.missing_package.cache_clear()
