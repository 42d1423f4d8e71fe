"""Servers and browser pages of the tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import llama_cpp  # noqa: F401 - before ponant, as each of them takes over llama.cpp's log
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from browser.guard import PageGuard
from tests.in_process import ScriptedServer, serving_scripted
from tests.missing import skip_or_fail
from tests.serving import RunningServer, serving
from tests.tiny_model import write_tiny_model

KEY = "a-key-of-the-tests"
OTHER_MACHINE = "ponant.test"
"""Name that browsers take for another machine's: its pages, without TLS, have no clipboard."""
_SECONDS = 60
"""Time limit of one step of a test."""

expect.set_options(timeout=_SECONDS * 1000)


class OpenPage(Protocol):
    """Function that opens a page of a server, in a browser context of its own."""

    def __call__(self, server: RunningServer, path: str = "/", *, width: int = 1440, dark: bool = False) -> Page: ...


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    program = shutil.which("chromium") or skip_or_fail("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        options = [f"--host-resolver-rules=MAP {OTHER_MACHINE} 127.0.0.1"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture
def guard() -> Iterator[PageGuard]:
    """Guard of the test's pages, checked at its end."""
    guard = PageGuard()
    yield guard
    guard.check()


@pytest.fixture
def open_page(browser: Browser, guard: PageGuard) -> Iterator[OpenPage]:
    """Function that opens guarded pages."""
    contexts = []

    def open_page(server: RunningServer, path: str = "/", *, width: int = 1440, dark: bool = False) -> Page:
        context = browser.new_context(
            base_url=server.url,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.set_default_timeout(_SECONDS * 1000)
        guard.allow(server.url)
        guard.watch(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File with the tokens of the scripted models."""
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_tiny_model(path)
    return path


@pytest.fixture(scope="session")
def scripted(vocabulary: Path) -> Iterator[ScriptedServer]:
    """Server without keys whose model plays scripts."""
    with serving_scripted(vocabulary, engine={"context": 4096}) as server:
        yield server


@pytest.fixture(scope="session")
def keyed(vocabulary: Path) -> Iterator[ScriptedServer]:
    """The same with the key ``KEY``."""
    with serving_scripted(vocabulary, engine={"context": 4096}, api_keys=[KEY]) as server:
        yield server


@pytest.fixture(scope="session")
def bundled() -> Iterator[RunningServer]:
    """Server without keys with the bundled model, in a process of its own."""
    with serving() as server:
        yield server
