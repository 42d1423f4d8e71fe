"""Models and servers shared by the tests; each is made once per run."""

import gc
import logging
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llama_cpp  # noqa: F401 - before ponant, as each of them takes over llama.cpp's log
import pytest
from hypothesis import settings

from ponant.processes.child_process import ChildProcess
from ponant.weights.bundled import BUNDLED
from ponant.weights.locate import locate
from tests.in_process import EXACT, ScriptedServer, ServerInProcess, serving_in_process, serving_scripted
from tests.scripted_trainer import scripted_training_path
from tests.serving import THREADS, RunningServer, serving
from tests.soak import examples
from tests.tiny_embedder import write_tiny_embedder
from tests.tiny_model import write_tiny_model

_TESTS = Path(__file__).parent
_LONGEST_FIRST = [
    *("soaking", "training", "clients", "server", "engine"),
    *("fine_tuning", "cli", "client", "recordings", "weights"),
]
_SEED = os.environ.get("PONANT_TEST_SHUFFLE")
"""Seed of a random order of files. Tests of one file keep their order, as they share servers."""

settings.register_profile("ponant", max_examples=examples(100))
settings.load_profile("ponant")
gc.disable()  # until all tests are collected


def pytest_collection_finish() -> None:
    """Exempt the thousands of collected tests from garbage collection, whose full passes would take 0.5 s each."""
    gc.freeze()
    gc.enable()


def pytest_report_header() -> str | None:
    """Print the seed, which makes the order again."""
    return f"random order of files: PONANT_TEST_SHUFFLE={_SEED}" if _SEED else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the folders with the slowest files first, so that no process has one of them left at the end."""
    if _SEED:
        files = sorted({item.path for item in items})
        random.Random(_SEED).shuffle(files)
        place_of = {file: place for place, file in enumerate(files)}
        items.sort(key=lambda item: place_of[item.path])
        return
    places = {folder: place for place, folder in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.relative_to(_TESTS).parts[0], len(places)))


@pytest.fixture(scope="session")
def base_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cache of weights that trainers read from GGUF files (a read takes seconds), shared by all processes of a run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "base-weights"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Restore the logger after each test."""
    logger = logging.getLogger("ponant")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture(scope="session", autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Environment of in-process servers and their workers, with a temporary data folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("OMP_WAIT_POLICY", "passive")  # OpenMP threads that wait passively leave their core to others
        patch.setenv("OMP_NUM_THREADS", str(THREADS))  # for PyTorch
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny random F32 model."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_tiny_model(path)
    return path


@pytest.fixture(scope="session")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny model whose context takes minutes to fill."""
    path = tmp_path_factory.mktemp("models") / "endless.gguf"
    write_tiny_model(path, context_length=65536)
    return path


@pytest.fixture(scope="session")
def bundled_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of the bundled model."""
    return locate(BUNDLED, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def scripted_server(tiny_model: Path) -> Iterator[ScriptedServer]:
    """Server whose model plays scripts, with a chat template without tool calls."""
    with serving_scripted(tiny_model, engine={"context": 4096}) as server:
        yield server


@pytest.fixture(scope="session")
def bundled_server() -> Iterator[RunningServer]:
    """Server with the bundled model. Tests must leave it unchanged."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def tiny_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny random embedding model."""
    path = tmp_path_factory.mktemp("models") / "tiny-embedder.gguf"
    write_tiny_embedder(path)
    return path


@pytest.fixture(scope="session")
def tiny_server(tiny_model: Path, tiny_embedder: Path) -> Iterator[ServerInProcess]:
    """Server with the tiny models, exact and fast. Tests must leave it unchanged."""
    with serving_in_process(tiny_model, tiny_embedder, **EXACT) as server:
        yield server


@pytest.fixture
def scripted_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace training in the jobs of in-process servers by a fast script that computes nothing."""
    monkeypatch.setenv("PYTHONPATH", scripted_training_path())


@pytest.fixture
def stopped_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop (SIGSTOP) every child process as soon as it is started, so that it hangs."""
    start = ChildProcess.start

    async def stopped(*arguments: Any, **options: Any) -> ChildProcess:
        process = await start(*arguments, **options)
        os.kill(process.pid, signal.SIGSTOP)
        return process

    monkeypatch.setattr(ChildProcess, "start", stopped)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Function that mounts a disk of a size in bytes and returns its folder, or skips the test if it cannot."""
    folder = tmp_path / "small-disk"
    folder.mkdir()

    def mount(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("only root can mount a small disk")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)
