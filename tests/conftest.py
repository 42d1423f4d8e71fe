"""Models and servers that tests share; each is made once for a whole run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.catalog.store import BUNDLED, locate
from tests.serving import EXACT, RunningServer, serving
from tests.tiny_embedder import write_tiny_embedder
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random F32 model."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_tiny_model(path)
    return path


@pytest.fixture(scope="session")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose context takes minutes to fill."""
    path = tmp_path_factory.mktemp("models") / "endless.gguf"
    write_tiny_model(path, context_length=65536)
    return path


@pytest.fixture(scope="session")
def bundled_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model's file."""
    return locate(BUNDLED, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def bundled_server() -> Iterator[RunningServer]:
    """A server with the bundled model. Tests must leave it as they found it."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def tiny_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model that embeds."""
    path = tmp_path_factory.mktemp("models") / "tiny-embedder.gguf"
    write_tiny_embedder(path)
    return path


@pytest.fixture(scope="session")
def tiny_server(tiny_model: Path, tiny_embedder: Path) -> Iterator[RunningServer]:
    """A server with the tiny models, exact and fast. Tests must leave it as they found it."""
    with serving(str(tiny_model), str(tiny_embedder), "--threads", "1", **EXACT) as server:
        yield server
