"""Guard of the browser's pages: console errors, script errors and requests to other hosts fail the test."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError

_LOCAL = ("data", "blob", "about")
"""Schemes of addresses that no host serves."""


class PageGuard:
    """Collects the requests and the faults of all pages of a test.

    Attributes:
        requests: all requests of the pages.
        faults: one line for each fault.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[str] = []
        self._own: set[str] = set()
        self._expected: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        """Watch the pages of a context."""
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)

    def allow(self, address: str) -> None:
        """Accept requests to a server."""
        self._own.add(urlsplit(address).netloc)

    def expect(self, pattern: str) -> None:
        """Accept console errors that a regular expression matches, such as ``status of 401``."""
        self._expected.append(pattern)

    def check(self) -> None:
        """Fail if there was a fault."""
        assert not self.faults, "\n".join(self.faults)

    def _on_request(self, request: Request) -> None:
        self.requests.append(request)
        parts = urlsplit(request.url)
        if parts.scheme not in _LOCAL and parts.netloc not in self._own:
            self.faults.append(f"request to another host: {request.method} {request.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(re.search(pattern, message.text) for pattern in self._expected):
            self.faults.append(f"console: {message.text} ({message.location.get('url')})")

    def _on_error(self, error: WebError) -> None:
        self.faults.append(f"script error: {error.error}")
