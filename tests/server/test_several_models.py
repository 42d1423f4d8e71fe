"""Several models on one server: selected by name, loaded on use, unloaded to make room."""

import asyncio
import contextlib
import os
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from ponant.cli.main import main
from ponant.engine.embed.e5_weights import weights_file
from ponant.server.wiring import make_catalog
from ponant.settings import read_settings
from tests.in_process import EXACT as EXACT_SETTINGS
from tests.in_process import ServerInProcess, serving_in_process
from tests.serving import EXACT, RunningServer, ServerProcess, serving, wait_until
from tests.tiny_model import write_tiny_model

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]
EMBEDDER = "multilingual-e5-small"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with three models."""
    folder = tmp_path_factory.mktemp("several")
    for seed, (name, context) in enumerate((("first", 512), ("second", 1024), ("third", 65536))):
        write_tiny_model(folder / f"{name}.gguf", seed=seed, context_length=context)
    return folder


@contextlib.contextmanager
def serving_file(folder: Path, settings: str) -> Iterator[ServerProcess]:
    """Run a server with a settings file in the folder of the models."""
    file = folder / "several.toml"
    file.write_text(f"threads = 1\n{settings}")
    with serving("--config", str(file), cwd=folder, **EXACT) as server:
        yield server


@contextlib.contextmanager
def serving_here(folder: Path, settings: str) -> Iterator[ServerInProcess]:
    """Run a server in this process with the settings of such a file."""
    read = tomllib.loads(settings.replace('source = "', f'source = "{folder}/'))
    with serving_in_process(**EXACT_SETTINGS, **read) as server:
        yield server


def states(server: RunningServer) -> dict[str, str]:
    """Return the states of the models."""
    with server.client() as client:
        return {name: model["state"] for name, model in client.get("/ready").json()["models"].items()}


def ask(client: httpx2.Client, model: str | None, **fields: Any) -> httpx2.Response:
    body = {"messages": HELLO, "max_tokens": 3, **({"model": model} if model else {}), **fields}
    return client.post(CHAT, json=body)


MODELS = """
[[models]]
source = "first.gguf"

[[models]]
source = "second.gguf"
id = "little/second"
aliases = ["also-second"]
default_temperature = 0.0
context = 700
parallel = 2

[[models]]
source = "third.gguf"
kind = "fim"

[aliases]
work = "little/second"
"""


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    """Server with three models. Tests may load them."""
    with serving_file(folder, MODELS) as server:
        yield server


def test_only_the_first_model_is_loaded_before_it_is_used(server: RunningServer) -> None:
    assert states(server) == {"first": "ready", "little/second": "unloaded", "third": "unloaded", EMBEDDER: "unloaded"}


def test_models_are_described_whether_they_are_loaded_or_not(server: RunningServer) -> None:
    with server.client() as client:
        before = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
        assert [before[name]["max_context_length"] for name in before] == [512, 700, 65536, 8192]
        assert before["little/second"]["aliases"] == ["also-second", "work"]
        assert before["little/second"]["default_model_temperature"] == 0
        assert [before[name]["capabilities"]["completion_chat"] for name in before] == [True, True, False, False]
        assert ask(client, "also-second").status_code == 200
        assert states(server)["little/second"] == "ready"
        after = client.get("/v1/models/work").json()
        assert after == before["little/second"]


def test_names_lead_to_models(server: RunningServer) -> None:
    with server.client() as client:
        for name in (None, "first", "mistral-large-latest", "codestral-latest"):
            assert ask(client, name).json()["model"] == (name or "first")
        repeated = [ask(client, "work", max_tokens=8).json()["choices"][0]["message"]["content"] for _ in range(2)]
        assert repeated[0] == repeated[1]  # at temperature 0, this model's default


def test_bundled_embedder_answers_beside_models_that_do_not_embed(server: RunningServer) -> None:
    with server.client() as client:
        for name in ("mistral-embed", EMBEDDER):
            response = client.post("/v1/embeddings", json={"model": name, "input": "a"})
            assert response.status_code == 200, response.text
            assert len(response.json()["data"][0]["embedding"]) == 384


async def test_embedder_that_nobody_named_has_no_more_threads_than_the_others(folder: Path) -> None:
    models = [
        {"source": str(folder / "first.gguf"), "threads": 1},
        {"source": str(folder / "third.gguf"), "threads": 2},
    ]
    catalog = make_catalog(read_settings(None, models=models, preload="none"))
    await catalog.open()
    try:
        assert [(model.spec.id, model.spec.threads) for model in catalog.models] == [
            ("first", 1),
            ("third", 2),
            (EMBEDDER, 2),
        ]
    finally:
        await catalog.close()


def test_models_are_used_for_what_they_are_for(server: RunningServer) -> None:
    with server.client() as client:
        refused = ask(client, "third")
        assert refused.status_code == 400
        assert refused.json()["message"] == "Invalid model: third does not chat; there is first, little/second"
        completed = client.post("/v1/fim/completions", json={"model": "third", "prompt": "def", "max_tokens": 2})
        assert completed.status_code == 200


def test_base_models_cannot_be_deleted(server: RunningServer) -> None:
    with server.client() as client:
        refused = client.delete("/v1/models/little/second")
        assert refused.status_code == 400
        assert refused.json()["message"] == "little/second is a base model: only fine-tuned models can be deleted"
        unknown = client.delete("/v1/models/nobody")
        assert (unknown.status_code, unknown.json()["type"]) == (404, "invalid_model")


def test_streams_are_kept_alive_while_their_model_is_loaded(folder: Path) -> None:
    with serving_here(folder, "keep_alive = 0.01\n" + MODELS) as server, server.client() as client:
        body = {"model": "work", "messages": HELLO, "max_tokens": 3, "stream": True}
        with client.stream("POST", CHAT, json=body) as stream:
            lines = [line for line in stream.iter_lines() if line]
        assert lines[0] == ": keep-alive"
        assert lines[-1] == "data: [DONE]"


def test_clients_that_leave_while_a_model_is_loaded_harm_nobody(folder: Path) -> None:
    with serving_here(folder, MODELS) as server, server.client() as client:
        for stream in (True, False):
            with contextlib.suppress(httpx2.TimeoutException):
                client.post(
                    CHAT, json={"model": "work", "messages": HELLO, "stream": stream}, timeout=httpx2.Timeout(0.05)
                )
        assert ask(client, "work").status_code == 200


TIGHT = 'model_memory = "8MB"\nkv_memory = "4MB"\n' + MODELS.replace("context = 700\n", "")


def test_the_model_not_used_for_longest_makes_room(folder: Path) -> None:
    with serving_file(folder, TIGHT) as server, server.client() as client:
        for name, loaded in (("little/second", "little/second"), ("first", "first"), ("work", "little/second")):
            assert ask(client, name).status_code == 200
            assert [model for model, state in states(server).items() if state == "ready"] == [loaded]
        assert len(psutil.Process(server.process.pid).children()) == 1


def test_models_in_use_are_waited_for(folder: Path) -> None:
    with serving_here(folder, TIGHT) as server, server.client() as client, server.client() as other:
        body = {"model": "first", "messages": HELLO, "max_tokens": 450, "min_tokens": 450, "stream": True}
        answered = threading.Event()

        def ask_other() -> None:
            assert ask(other, "work").status_code == 200
            answered.set()

        with client.stream("POST", CHAT, json=body) as stream:
            lines = stream.iter_lines()
            next(lines)
            asking = threading.Thread(target=ask_other)
            asking.start()
            wait_until(lambda: states(server)["little/second"] == "loading")
            assert [line for line in lines if line][-1] == "data: [DONE]"
        asking.join()
        assert answered.is_set()


async def test_bursts_on_two_models_that_do_not_fit_together_are_all_answered(folder: Path) -> None:
    with serving_here(folder, TIGHT) as server:
        async with httpx2.AsyncClient(base_url=server.url, timeout=120) as client:
            bodies = [
                {"model": name, "messages": HELLO, "max_tokens": 5} for _ in range(5) for name in ("first", "work")
            ]
            responses = await asyncio.gather(*(client.post(CHAT, json=body) for body in bodies))
    assert [response.status_code for response in responses] == [200] * 10


async def test_two_models_and_the_bundled_embedder_take_turns_in_memory_and_answer_a_burst(
    folder: Path, tmp_path: Path
) -> None:
    weights = weights_file()
    assert weights
    room = f"kv_memory = '4MB'\nmodel_memory = '{weights.stat().st_size + 64 * 2**20 + 8_000_000}B'"
    models = "".join(f"[[models]]\nsource = '{folder / name}.gguf'\n" for name in ("first", "second"))
    (tmp_path / "ponant.toml").write_text(f"threads = 1\n{room}\n{models}[[models]]\nsource = '{EMBEDDER}'\n")

    def loaded() -> set[str]:
        return {model for model, state in states(server).items() if state == "ready"}

    async def content(model: str) -> str:
        body = {"model": model, "messages": HELLO, "max_tokens": 8, "temperature": 0}
        response = await client.post(CHAT, json=body)
        assert response.status_code == 200, response.text
        text: str = response.json()["choices"][0]["message"]["content"]
        return text

    async def vectors(texts: list[str]) -> NDArray[np.float64]:
        response = await client.post("/v1/embeddings", json={"model": "mistral-embed", "input": texts})
        assert response.status_code == 200, response.text
        return np.array([entry["embedding"] for entry in response.json()["data"]])

    with serving(cwd=tmp_path, **EXACT) as server:
        async with httpx2.AsyncClient(base_url=server.url, timeout=120) as client:
            assert loaded() == {"first"}
            texts = ["How do I bake bread?", "The market fell."]
            first, vector = await content("first"), await vectors(texts)
            assert loaded() == {"first", EMBEDDER}
            second = await content("second")
            assert loaded() == {"second", EMBEDDER}  # the least recently used model has made room
            chats = (content(model) for _ in range(4) for model in ("first", "second"))
            texts_of_burst, vectors_of_burst = await asyncio.gather(
                asyncio.gather(*chats), asyncio.gather(*(vectors(texts) for _ in range(4)))
            )
    assert texts_of_burst == [first, second] * 4
    assert first != second
    assert np.allclose(vectors_of_burst, vector, atol=1e-5)


def test_idle_models_are_unloaded_and_come_back(folder: Path) -> None:
    with serving_file(folder, f"unload_after = 0.2\n{MODELS}") as server, server.client() as client:
        wait_until(lambda: states(server)["first"] == "unloaded")
        wait_until(lambda: not psutil.Process(server.process.pid).children())
        assert ask(client, "first").status_code == 200


def test_model_that_cannot_be_loaded_is_told_and_the_others_are_served(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    write_tiny_model(broken)
    settings = f'models = ["{folder}/first.gguf", "{broken}"]'
    with serving_here(folder, settings) as server, server.client() as client:
        with broken.open("r+b") as file:
            file.truncate(broken.stat().st_size // 2)
        refused = ask(client, "broken")
        assert refused.status_code == 503
        assert refused.json()["message"].startswith("Service unavailable: the model broken cannot be loaded: ")
        assert ask(client, "first").status_code == 200


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ('models = ["first.gguf", "./first.gguf"]', "two models have the id first; set another id for one of them"),
        ("models = []", "models: List should have at least 1 item"),
        (
            '[[models]]\nsource = "first.gguf"\naliases = ["x"]\n[[models]]\nsource = "second.gguf"\naliases = ["x"]',
            "alias x names two models, first and second",
        ),
        (
            'models = ["first.gguf", "second.gguf"]\naliases = {second = "first"}',
            "alias second is the id of another model",
        ),
        ('[[models]]\nsource = "first.gguf"\nspeed = 3', "models.0.speed: Extra inputs are not permitted"),
        ('[[models]]\nsource = "first.gguf"\ntokenizer = "none.json"', "the tokenizer file none.json does not exist"),
        ('model_memory = "1MB"\nmodels = ["first.gguf"]', "raise model_memory"),
    ],
)
def test_settings_that_make_no_sense_are_told(
    folder: Path, settings: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "bad.toml"
    file.write_text(settings)
    monkeypatch.chdir(folder)
    clean = {name: None for name in os.environ if name.startswith("PONANT_")}
    ended = CliRunner(env=clean).invoke(main, ["serve", "--port", "0", "--config", str(file)])
    assert ended.exit_code == 2
    assert complaint in ended.stderr
