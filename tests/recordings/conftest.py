"""Recordings, the option that rewrites them, and the recorded servers."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.recordings.logged import Log
from tests.recordings.recording import Recording
from tests.scripted_trainer import scripted_training_path
from tests.serving import EXACT, RunningServer, ServerProcess, serving
from tests.tiny_embedder import write_tiny_embedder
from tests.tiny_model import build_vocabulary, write_tiny_model

KEY = "a-key"
HOPELESS = "\x01"
"""Token that makes the failing model fail if a prompt has it."""
HOPELESS_WORD = "dog"
"""Word that makes the failing embedder fail if a text has it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--rewrite``."""
    parser.addoption("--rewrite", action="store_true", help="rewrite the files of tests/recordings/recorded")


@pytest.fixture
def recording(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Recorded files."""
    rewrite = bool(pytestconfig.getoption("--rewrite", False))
    return Recording(rewrite=rewrite, temporary=tmp_path_factory.getbasetemp())


@pytest.fixture
def tiny_client(tiny_server: RunningServer) -> Iterator[httpx2.Client]:
    """Client of the server with the tiny models."""
    with tiny_server.client() as client:
        yield client


@dataclass
class LoggedServer:
    """Server and its log file."""

    server: ServerProcess
    file: Path

    def client(self) -> httpx2.Client:
        """Return a client with the server's key."""
        return self.server.client(key=KEY)

    def log(self) -> Log:
        """Return the log from its current end on."""
        return Log(self.file)


@pytest.fixture(scope="session")
def guarded_server(
    tmp_path_factory: pytest.TempPathFactory, endless_model: Path, tiny_embedder: Path
) -> Iterator[LoggedServer]:
    """Strict server with a key, limits of every kind, and models that fail. Tests leave no files or jobs there.

    Its training is scripted.
    """
    folder = tmp_path_factory.mktemp("guarded")
    write_tiny_model(folder / "failing.gguf", nan_tokens=[build_vocabulary().id_of(HOPELESS)])
    write_tiny_embedder(folder / "failing-embedder.gguf", nan_word=HOPELESS_WORD)
    write_tiny_model(folder / "gone.gguf", seed=1)
    models = [str(endless_model), str(tiny_embedder)]
    models += [str(folder / f"{name}.gguf") for name in ("failing", "failing-embedder", "gone")]
    flags = ["--threads", "1", "--parallel", "2", "--api-key", KEY, "--alias", "house=endless", "--log-level", "info"]
    limits = {
        "PONANT_STRICT": "true",
        "PONANT_QUEUE_LIMIT": "0",
        "PONANT_REQUEST_TIMEOUT": "3",
        "PONANT_MAX_BODY_SIZE": "10000",
        "PONANT_MAX_FILE_SIZE": "20000",
        "PONANT_CORS_ORIGINS": "https://app.example.org",
        "PYTHONPATH": scripted_training_path(),
    }
    with serving(*models, *flags, log=folder / "log", **EXACT, **limits) as server:
        (folder / "gone.gguf").unlink()
        yield LoggedServer(server, folder / "log")


@pytest.fixture(scope="module")
def broken_server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[LoggedServer]:
    """Server whose database cannot be opened, with NIM's dialect at ``/v1``."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "data" / "ponant.db").mkdir(parents=True)
    weights = shutil.copy(tiny_model, folder / "tiny.gguf")
    flags = [str(weights), "--threads", "1", "--data-dir", str(folder / "data"), "--log-level", "info"]
    sizes = ["--context", "256", "--kv-memory", "1MiB", "--parallel", "4"]
    with serving(*flags, *sizes, log=folder / "log", **EXACT, PONANT_DIALECT="nim") as server:
        yield LoggedServer(server, folder / "log")
