"""Pages and foreign web pages, and the state without libraries."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from browser.conftest import OpenPage
from browser.guard import PageGuard
from tests.in_process import ScriptedServer

SEND = """(url) => fetch(url, {
  method: "POST", mode: "no-cors",
  body: JSON.stringify({model: "scripted", messages: [{role: "user", content: "hi"}]}),
}).then(() => "sent")"""
SHOW = """(url) => new Promise((resolve) => {
  const frame = document.createElement("iframe");
  frame.src = url;
  frame.onload = () => resolve();
  document.body.append(frame);
})"""


class EmptyPage(http.server.BaseHTTPRequestHandler):
    """Server of an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def foreign() -> Iterator[str]:
    """Address of a web page of another origin on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_foreign_page_can_neither_send_nor_show(
    scripted: ScriptedServer, foreign: str, open_page: OpenPage, guard: PageGuard
) -> None:
    guard.allow(foreign)
    guard.expect("status of 403")
    guard.expect("frame-ancestors 'none'")
    page = open_page(scripted, foreign)
    before = len(scripted.engine.requests)
    assert page.evaluate(SEND, f"{scripted.url}/v1/chat/completions") == "sent"
    assert len(scripted.engine.requests) == before
    page.evaluate(SHOW, f"{scripted.url}/playground")
    assert page.frames[1].locator("nav").count() == 0


def test_missing_libraries_are_explained(
    scripted: ScriptedServer, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.server.routes.pages.missing_files", lambda: ["scalar.js"])
    page = open_page(scripted, "/docs")
    expect(page.get_by_role("heading")).to_have_text("The pages need their JavaScript libraries")
    page.get_by_role("link", name="/openapi.json").click()
    page.wait_for_url("**/openapi.json")


def test_reference_without_its_documents_says_so(
    scripted: ScriptedServer, open_page: OpenPage, guard: PageGuard
) -> None:
    guard.expect("status of 503")
    page = open_page(scripted, "/fine-tuning")
    page.route("**/openapi.json", lambda route: route.fulfill(status=503))
    page.goto("/docs")
    expect(page.get_by_text("The reference cannot be shown (status 503 of")).to_be_visible()
    expect(page.get_by_role("link", name="Reference")).to_be_visible()
