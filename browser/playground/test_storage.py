"""Conversations where the browser refuses its storage, and in two tabs."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import KEY, OpenPage
from browser.guard import PageGuard
from browser.playground.bench import Bench
from browser.playground.conftest import OpenBench
from tests.in_process import ScriptedServer

REFUSED = "IDBFactory.prototype.open = () => { throw new DOMException('refused', 'SecurityError'); }"
FULL = """(() => {
  const put = IDBObjectStore.prototype.put;
  IDBObjectStore.prototype.put = function (value) {
    const request = put.call(this, value);
    request.addEventListener("success", () => this.transaction.abort());
    return request;
  };
})()"""
NO_STORAGE = """for (const name of ["localStorage", "sessionStorage", "indexedDB"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("refused", "SecurityError"); } });
}"""


def reopened(page: Page, script: str, path: str = "/playground") -> Page:
    """Return the page, opened again with a script that runs first."""
    page.add_init_script(script)
    page.goto(path)
    return page


@pytest.mark.parametrize("script", [REFUSED, FULL], ids=["refused", "full"])
def test_conversations_that_are_not_stored_stay_in_the_tab(
    scripted: ScriptedServer, open_bench: OpenBench, tmp_path: Path, script: str
) -> None:
    bench = open_bench(scripted)
    reopened(bench.page, script)
    bench.send("One")
    expect(bench.page.get_by_role("alert")).to_contain_text("This browser does not store conversations")
    bench.new("Chat")
    expect(bench.cards).to_have_count(0)
    bench.send("Two", answers=1)
    bench.page.locator("aside.sidebar").get_by_role("button", name="One", exact=True).click()
    expect(bench.page.locator(".said")).to_have_text("One")
    with bench.page.expect_download() as download:
        bench.button("Export all").click()
    download.value.save_as(tmp_path / "all.json")
    conversations = json.loads((tmp_path / "all.json").read_text())["conversations"]
    assert {turn["content"] for one in conversations for turn in one["turns"].values()} == {"One", "Two", "Hello world"}


@pytest.mark.parametrize("path", ["/", "/playground", "/fine-tuning"])
def test_pages_work_without_any_storage(keyed: ScriptedServer, open_page: OpenPage, path: str) -> None:
    page = reopened(open_page(keyed, path), NO_STORAGE, path)
    page.get_by_role("button", name="Enter key").click()
    page.get_by_label("One of the server's keys", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Key ✓")).to_be_visible()


def test_two_tabs_change_one_conversation(scripted: ScriptedServer, open_bench: OpenBench, guard: PageGuard) -> None:
    first = open_bench(scripted)
    first.send("One")
    entry = first.page.locator("aside.sidebar").get_by_role("button", name="One", exact=True)
    expect(entry).to_be_visible()
    second = Bench(first.page.context.new_page(), guard)
    second.page.goto("/playground")
    second.page.locator("aside.sidebar").get_by_role("button", name="One", exact=True).click()
    expect(second.cards).to_have_count(1)
    second.send("Two")
    expect(first.cards).to_have_count(2)
    first.send("Three")
    expect(second.cards).to_have_count(3)
    assert [message["content"] for message in first.sent()[-1]["messages"][::2]] == ["One", "Two", "Three"]


def test_refused_clipboard(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    """Texts are copied the old way, or the button says that they were not."""
    bench = open_bench(scripted)
    bench.send("One")
    refuse = "navigator.clipboard.writeText = () => Promise.reject(new DOMException('refused', 'NotAllowedError'))"
    bench.page.evaluate(f"(() => {{ {refuse}; }})()")
    copy = bench.button("Copy", within=bench.cards)
    copy.click()
    expect(bench.button("Copied", within=bench.cards)).to_be_visible()
    assert bench.page.evaluate("navigator.clipboard.readText()") == "Hello world"
    bench.page.evaluate("(() => { document.execCommand = () => false; })()")
    copy.click()
    expect(bench.button("Copying refused", within=bench.cards)).to_be_visible()
