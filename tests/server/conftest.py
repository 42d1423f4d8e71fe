"""Servers shared by the tests of this folder."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.in_process import EXACT, ServerInProcess, serving_in_process
from tests.tiny_model import write_tiny_model

SPECIFICATION = Path(__file__).parents[3] / "shared" / "spec" / "mistral-openapi.json"
CYCLE = (" hello", " and", " the", " a", " of", " to", "user", "ing")
"""Tokens of the sure model, each of which surely follows the one before."""


@pytest.fixture(scope="session")
def specification() -> dict[str, Any]:
    """OpenAPI document of the Mistral API."""
    if not SPECIFICATION.exists():
        pytest.skip(f"the specification is not here: {SPECIFICATION.name}")
    document: dict[str, Any] = json.loads(SPECIFICATION.read_text())
    return document


@pytest.fixture(scope="session")
def roomy_server(endless_model: Path) -> Iterator[ServerInProcess]:
    """Server like the tiny one, with room for long prompts. Tests must leave it unchanged."""
    with serving_in_process(endless_model, **EXACT) as server:
        yield server


@pytest.fixture(scope="session")
def sure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInProcess]:
    """Server whose model repeats the same words with probabilities that no rounding can change."""
    path = tmp_path_factory.mktemp("models") / "sure.gguf"
    write_tiny_model(path, cycle=CYCLE)
    with serving_in_process(path, **EXACT) as server:
        yield server
