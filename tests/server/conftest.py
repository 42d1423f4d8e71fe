"""Servers shared by the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.in_process import EXACT, ServerInProcess, serving_in_process


@pytest.fixture(scope="session")
def roomy_server(endless_model: Path) -> Iterator[ServerInProcess]:
    """Server like the tiny one, with room for long prompts. Tests must leave it unchanged."""
    with serving_in_process(endless_model, **EXACT) as server:
        yield server
