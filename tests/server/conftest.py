"""Servers that the tests of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import EXACT, RunningServer, serving


@pytest.fixture(scope="session")
def roomy_server(endless_model: Path) -> Iterator[RunningServer]:
    """A server like the tiny one, with room for long prompts. Tests must leave it as they found it."""
    with serving(str(endless_model), "--threads", "1", **EXACT) as server:
        yield server
