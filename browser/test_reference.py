"""Reference page: every operation, and requests that the page sends."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import KEY, OpenPage
from browser.guard import PageGuard
from browser.looks import overflow, screenshot
from browser.reference import RequestForm, operation_at, operations, section, settle
from tests.in_process import ScriptedServer, serving_scripted
from tests.scripted_engine import Gate
from tests.serving import wait_until

CHAT = "post /v1/chat/completions"
STREAMED = json.dumps({"model": "scripted", "messages": [{"role": "user", "content": "hi"}], "stream": True})

FIRST = [
    *("Create Chat Completions", "Create FIM Completions", "Create Embeddings"),
    *("List Available Models", "Delete Model", "Upload File", "List Files", "Retrieve File", "Delete File"),
    *("List Fine Tuning Jobs", "Create Fine Tuning Job", "Get Fine Tuning Job", "Cancel Fine Tuning Job"),
]
"""Titles of the operations of the Mistral API's reference, in its order."""


def loaded(page: Page) -> Page:
    """Return a reference page when it has its content."""
    expect(page.get_by_role("complementary")).to_be_visible()
    settle(page)
    return page


def test_operations_are_reached_by_the_sidebar(scripted: ScriptedServer, open_page: OpenPage) -> None:
    page = loaded(open_page(scripted, "/docs"))
    by_link = {operation.address.removeprefix("/docs"): operation for operation in operations(scripted)}
    links = page.get_by_role("complementary").get_by_role("link").all()
    listed = [by_link[link] for link in [link.get_attribute("href") or "" for link in links] if link in by_link]
    assert [operation.title for operation in listed][: len(FIRST)] == FIRST
    assert len(listed) == len(by_link)
    for link, operation in by_link.items():
        page.get_by_role("complementary").locator(f'a[href="{link}"]').click()
        page.wait_for_url(f"**{operation.address}")
        settle(page)
        expect(section(page, operation).get_by_role("heading", name=operation.title, exact=True)).to_be_in_viewport()


@pytest.mark.parametrize("document", ["mistral", "nim"])
def test_operations_are_reached_by_their_addresses(
    scripted: ScriptedServer, open_page: OpenPage, document: str
) -> None:
    path = "/openapi.json" if document == "mistral" else "/nim/openapi.json"
    page = loaded(open_page(scripted, "/docs"))
    for operation in operations(scripted, document, path):
        page.goto(operation.address)
        page.reload()
        settle(loaded(page))
        expect(section(page, operation).get_by_role("heading", name=operation.title, exact=True)).to_be_in_viewport()
        expect(section(page, operation).get_by_role("button", name="Try It!")).to_be_visible()


def test_samples_are_those_of_the_document(scripted: ScriptedServer, open_page: OpenPage) -> None:
    operation = operation_at(scripted, CHAT)
    page = loaded(open_page(scripted, operation.address))
    card = section(page, operation).locator(".request-card")
    expect(card).to_contain_text(f"curl {scripted.url}/v1/chat/completions")
    card.get_by_role("button", name="Change code sample language").click()
    names = page.get_by_role("option").all_inner_texts()
    assert names == [
        "Shell · curl",
        "Python · mistralai",
        "Python · ponant",
        "JavaScript · fetch",
        "JavaScript · @mistralai/mistralai",
        "Java · java.net.http",
        "Swift · URLSession",
    ]


def test_request_needs_the_key_that_the_page_has(keyed: ScriptedServer, open_page: OpenPage, guard: PageGuard) -> None:
    guard.expect("status of 401")
    operation = operation_at(keyed, CHAT)
    page = loaded(open_page(keyed, operation.address))
    form = RequestForm(page, operation)
    form.send()
    form.expect_status("401 Unauthorized")
    form.write_key(KEY)
    form.send()
    form.expect_status("200 OK")
    form.close()
    page.reload()
    assert KEY not in page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    page.get_by_role("button", name="Enter key").click()
    page.get_by_label("One of the server's keys", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    form = RequestForm(page, operation)
    form.send()
    form.expect_status("200 OK")
    assert KEY not in page.evaluate("JSON.stringify([localStorage, document.cookie])")
    assert not [request.url for request in guard.requests if KEY in request.url]


def test_request_of_the_other_document(scripted: ScriptedServer, open_page: OpenPage) -> None:
    (operation,) = operations(scripted, "nim", "/nim/openapi.json")
    page = loaded(open_page(scripted, operation.address))
    hint = "getComputedStyle(document.querySelector('.response-card'), '::before').content"
    assert "Click Try It! to start a request" in page.evaluate(hint)
    form = RequestForm(page, operation)
    form.send()
    form.expect_status("200 OK")
    expect(form.response).to_contain_text("system_fingerprint")


def test_stream_is_shown_as_it_comes_and_cancelled(scripted: ScriptedServer, open_page: OpenPage) -> None:
    gate = Gate()
    scripted.engine.play("First words", gate, " and the rest")
    operation = operation_at(scripted, CHAT)
    form = RequestForm(loaded(open_page(scripted, operation.address)), operation)
    form.write_body(STREAMED)
    form.send()
    expect(form.response).to_contain_text("First words")
    generation = scripted.engine.generations[-1]
    assert generation.running
    form.dialog.get_by_role("button", name="Cancel").click()
    wait_until(lambda: not generation.running)
    assert generation.cancelled


def test_file_is_uploaded_by_the_form(scripted: ScriptedServer, open_page: OpenPage, tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_text(json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}))
    operation = operation_at(scripted, "post /v1/files")
    page = loaded(open_page(scripted, operation.address))
    form = RequestForm(page, operation)
    with page.expect_file_chooser() as chooser:
        form.file_button("file").click()
    chooser.value.set_files(file)
    form.send()
    form.expect_status("200 OK")
    with scripted.client() as client:
        assert "notes.jsonl" in [entry["filename"] for entry in client.get("/v1/files").json()["data"]]


def test_another_server_is_chosen(vocabulary: Path, open_page: OpenPage, guard: PageGuard) -> None:
    with (
        serving_scripted(vocabulary, ("other",), cors_origins=["*"]) as other,
        serving_scripted(vocabulary, environments={"Develop Env": other.url}) as server,
    ):
        guard.allow(other.url)
        page = loaded(open_page(server, "/docs"))
        page.get_by_role("button", name=server.url).click()
        page.get_by_role("option", name=other.url).click()
        operation = operation_at(server, CHAT)
        page.goto(operation.address)
        settle(page)
        card = section(page, operation).locator(".request-card")
        expect(card).to_contain_text(f"curl {other.url}/v1/chat/completions")
        form = RequestForm(page, operation)
        form.send()
        form.expect_status("200 OK")
        assert (len(other.engine.requests), len(server.engine.requests)) == (1, 0)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_reference_fits(scripted: ScriptedServer, open_page: OpenPage, width: int, dark: bool) -> None:
    operation = operation_at(scripted, CHAT)
    page = open_page(scripted, operation.address, width=width, dark=dark)
    expect(section(page, operation).get_by_role("button", name="Try It!")).to_be_visible()
    settle(page)
    screenshot(page, f"docs-{width}-{'dark' if dark else 'light'}")
    assert overflow(page) == 0
