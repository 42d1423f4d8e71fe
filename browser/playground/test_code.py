"""The request as code and as a link: both give the body that the page sends."""

import base64
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.guard import PageGuard
from browser.playground.bench import Bench
from browser.playground.conftest import OpenBench
from tests.in_process import ScriptedServer

SCHEMA = {"type": "object", "properties": {"it's": {"enum": ["é\n", '"', "$HOME", "\\"]}}, "required": ["it's"]}


@contextmanager
def collecting() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve an address that keeps the bodies that it gets."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        server.server_close()


def sample(bench: Bench, language: str) -> str:
    """Return the shown code, in a language."""
    bench.page.get_by_role("tab", name=language, exact=True).click()
    return bench.page.locator("#sample pre").text_content() or ""


def body_by_curl(server: ScriptedServer, source: str) -> dict[str, Any]:
    """Run a shell sample against another address, and return the body that arrives."""
    with collecting() as (address, bodies):
        subprocess.run(["bash", "-c", source.replace(server.url, address)], check=True, capture_output=True, timeout=30)
    (body,) = bodies
    return body


def prepare(bench: Bench) -> None:
    """Set many fields."""
    for label, value in {"temperature": "0.2", "max_tokens": "9", "random_seed": "4", "n side by side": "2"}.items():
        bench.set(label, value)
    bench.colour()
    bench.set("System message", "Be brief: it's $late.")
    panel = bench.panel("JSON schema")
    panel.get_by_label("Format").select_option("json_schema")
    panel.get_by_label("Schema", exact=True).fill(json.dumps(SCHEMA))


def test_code_gives_the_body_that_is_sent(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    prepare(bench)
    bench.message.fill("It's “this”\nand \\that")
    expect(bench.page.get_by_text("The next request")).to_be_visible()
    expect(bench.page.locator("#sample pre")).to_contain_text("and")
    before = body_by_curl(scripted, sample(bench, "Shell"))
    bench.message.press("Enter")
    bench.wait()
    assert before == bench.sent()[-1]
    expect(bench.page.get_by_text("The request of the last answer")).to_be_visible()
    assert body_by_curl(scripted, sample(bench, "Shell")) == bench.sent()[-1]


def test_all_languages_are_there(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.message.fill("Hello")
    with scripted.client() as client:
        body = {"model": "scripted", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        request = {"method": "POST", "path": "/v1/chat/completions", "body": body, "address": scripted.url}
        expected = client.post("/pages/code", json=request).json()["samples"]
    names = {"shell": "Shell", "python": "Python", "javascript": "JavaScript", "java": "Java", "swift": "Swift"}
    assert {one["language"] for one in expected} == set(names)
    for one in expected:
        sample(bench, names[one["language"]])
        forms = bench.page.locator(".forms")
        if forms.count():
            bench.button(one["label"], within=forms).click()
        expect(bench.page.locator("#sample pre")).to_have_text(one["source"], use_inner_text=False)


def test_earlier_answer_shows_its_request(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.send("One")
    bench.send("Two")
    bench.button("Code", within=bench.cards.first).click()
    expect(bench.page.get_by_text("The request of this answer")).to_be_visible()
    expect(bench.page.locator("#sample pre")).not_to_contain_text("Two")
    assert body_by_curl(scripted, sample(bench, "Shell")) == bench.sent()[0]


def test_link_opens_the_same_request(scripted: ScriptedServer, open_bench: OpenBench, guard: PageGuard) -> None:
    bench = open_bench(scripted)
    prepare(bench)
    bench.send("It's “this”")
    bench.button("Copy as a link").click()
    link = bench.page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{scripted.url}/playground#request=")
    other = open_bench(scripted, "#" + link.partition("#")[2])
    expect(other.page.get_by_role("region", name="You")).to_contain_text("It's “this”")
    assert re.fullmatch(r".*/playground", other.page.url), "the request stays in no address"
    generated = len(scripted.engine.requests)
    other.button("Answer").click()
    other.wait()
    assert len(scripted.engine.requests) == generated + 1
    sent = other.sent()
    assert sent[-1] == sent[0]
    assert not [request.url for request in guard.requests if "request=" in request.url]


@pytest.mark.parametrize("kind", ["Fill in the middle", "Embeddings"])
def test_links_of_other_kinds(scripted: ScriptedServer, open_bench: OpenBench, kind: str) -> None:
    bench = open_bench(scripted)
    bench.new(kind)
    expect(bench.page.locator("#sample pre")).to_contain_text("curl")
    expected = body_by_curl(scripted, sample(bench, "Shell"))
    bench.button("Copy as a link").click()
    link = bench.page.evaluate("navigator.clipboard.readText()")
    other = open_bench(scripted, "#" + link.partition("#")[2])
    expect(other.page.locator("#sample pre")).to_contain_text("curl")
    assert body_by_curl(scripted, sample(other, "Shell")) == expected


def link_of(request: Any) -> str:
    return "#request=" + base64.urlsafe_b64encode(json.dumps(request).encode()).decode().rstrip("=")


def test_unreadable_links_are_explained(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    message = {"role": "assistant", "tool_calls": [5]}
    for fragment in (
        "#request=abc",
        link_of(5),
        link_of({"path": "/v1/chat/completions"}),
        *(
            link_of({"path": "/v1/chat/completions", "body": {"messages": [one]}})
            for one in (message, {"role": "user", "content": {"a": 1}}, {"role": "user", "content": [{"text": "x"}]})
        ),
    ):
        bench.page.evaluate("fragment => { location.hash = fragment; }", fragment)
        expect(bench.page.get_by_role("alert")).to_contain_text("The link has no readable request")
        bench.button("Dismiss").click()
        expect(bench.page.get_by_role("alert")).to_have_count(0)
    bench.send("Hello", answers=1)


def test_link_names_models(pair: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(pair, "#model=second&beside=first")
    bench.send("Hello", answers=2)
    assert [body["model"] for body in bench.sent()] == ["second", "first"]
