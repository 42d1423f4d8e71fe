"""Playground pages, and a server whose tiny model draws by seeds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from playwright.sync_api import expect

from browser.conftest import OpenPage
from browser.guard import PageGuard
from browser.playground.bench import Bench
from tests.in_process import EXACT, ScriptedServer, ServerInProcess, serving_in_process, serving_scripted
from tests.serving import RunningServer


class OpenBench(Protocol):
    """Function that opens the playground of a server."""

    def __call__(
        self, server: RunningServer, fragment: str = "", *, width: int = 1440, dark: bool = False
    ) -> Bench: ...


@pytest.fixture
def open_bench(open_page: OpenPage, guard: PageGuard) -> OpenBench:
    """Function that opens the playground and waits for its models."""

    def open_bench(server: RunningServer, fragment: str = "", *, width: int = 1440, dark: bool = False) -> Bench:
        page = open_page(server, f"/playground{fragment}", width=width, dark=dark)
        expect(page.locator(".panels select").first).not_to_have_value("")
        return Bench(page, guard)

    return open_bench


@pytest.fixture(scope="session")
def tiny(vocabulary: Path) -> Iterator[ServerInProcess]:
    """Server with a tiny random model, exact: equal requests with a seed have equal answers."""
    with serving_in_process(vocabulary, **EXACT) as server:
        yield server


@pytest.fixture(scope="session")
def pair(vocabulary: Path) -> Iterator[ScriptedServer]:
    """Server with two scripted models, and its embedding model."""
    with serving_scripted(vocabulary, ("first", "second"), engine={"context": 4096}) as server:
        yield server
