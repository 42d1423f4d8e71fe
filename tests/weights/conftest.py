"""Local hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.weights.hub_server import Hub, hub_server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Hub that serves all downloads, without a token."""
    with hub_server() as hub:
        for name, value in hub.variables(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield hub
