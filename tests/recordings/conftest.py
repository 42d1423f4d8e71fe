"""Recordings, how they are rewritten, and the servers whose behaviour is recorded."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.recordings.recording import Recording
from tests.serving import RunningServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--rewrite``."""
    parser.addoption("--rewrite", action="store_true", help="rewrite the files of tests/recordings/recorded")


@pytest.fixture
def recording(pytestconfig: pytest.Config) -> Recording:
    """The recorded files."""
    return Recording(rewrite=bool(pytestconfig.getoption("--rewrite", False)))


@pytest.fixture
def tiny_client(tiny_server: RunningServer) -> Iterator[httpx2.Client]:
    """A client of the server with the tiny models."""
    with tiny_server.client() as client:
        yield client
