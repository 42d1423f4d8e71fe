"""Server whose requests are recorded, its document, and the programs' runners."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp  # noqa: F401 - before ponant, as each of them takes over llama.cpp's log
import pytest
from fastapi import FastAPI

from ponant.jobs.runner import Runner
from ponant.server import wiring
from ponant.weights.bundled import BUNDLED
from samples_run.programs import Programs
from samples_run.shelf import CONTENT, Shelf
from samples_run.stage import KEY, Stage
from samples_run.tape import Recorder, Tape
from tests import in_process
from tests.in_process import ScriptedServer, serving_scripted
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def tape() -> Tape:
    """Requests of the running program."""
    return Tape()


@pytest.fixture(scope="session")
def shelves() -> list[Shelf]:
    """Files, jobs and models of the server."""
    return []


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File with the tokens of the scripted models."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_tiny_model(path)
    return path


@pytest.fixture(scope="session")
def server(tape: Tape, shelves: list[Shelf], vocabulary: Path) -> Iterator[ScriptedServer]:
    """Server with a key."""
    with recorded(tape, shelves, vocabulary, api_keys=[KEY]) as server:
        yield server


@pytest.fixture(scope="session")
def keyless(tape: Tape, vocabulary: Path) -> Iterator[ScriptedServer]:
    """Server without keys."""
    with recorded(tape, [], vocabulary) as server:
        yield server


@contextlib.contextmanager
def recorded(tape: Tape, shelves: list[Shelf], vocabulary: Path, **settings: Any) -> Iterator[ScriptedServer]:
    """Yield a server whose requests are recorded, and whose jobs stay in their states.

    Args:
        tape: receives the requests.
        shelves: receives the files, jobs and models of the server.
        vocabulary: file with the tokens of the models.
        settings: settings of the server.
    """

    def make(catalog: Any, settings: Any, storage: Any) -> FastAPI:
        shelves.append(Shelf(storage, catalog, settings.data_dir))
        app = wiring.make_app(catalog, settings, storage)
        app.add_middleware(Recorder, tape=tape)
        return app

    async def idle(_: object) -> None:
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_process, "make_app", make)
        patch.setattr(Runner, "run", idle)
        with serving_scripted(vocabulary, (BUNDLED,), engine={"context": 4096}, **settings) as server:
            yield server


@pytest.fixture(scope="session")
def programs(tape: Tape) -> Iterator[Programs]:
    """Runners of the programs."""
    own = ("PONANT_", "MISTRAL_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        (Path(folder) / "capitals.jsonl").write_bytes(CONTENT)
        yield Programs(Path(folder), variables | {"MISTRAL_API_KEY": KEY, "NO_COLOR": "1"}, stack, tape)


@pytest.fixture(scope="session")
def stage(server: ScriptedServer, shelves: list[Shelf], programs: Programs, tape: Tape) -> Stage:
    """The server, its document, and the programs."""
    with server.client() as client:
        document = client.get("/openapi.json").json()
    return Stage(server, document, shelves[0], programs, tape)
