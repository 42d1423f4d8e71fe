"""The page `/`: what a server does at present."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from browser.conftest import KEY, OpenPage
from browser.guard import PageGuard
from browser.looks import accessibility_faults, overflow, screenshot
from ponant.catalog.catalog import Catalog
from ponant.engine.base import Delta
from ponant.engine.report import StepReport
from tests.chatting import CHAT, body
from tests.in_process import ScriptedServer, serving_scripted
from tests.jobs import create, upload, wait_for
from tests.scripted_engine import Gate
from tests.scripted_trainer import scripted_training_path


@pytest.fixture(scope="module")
def server(vocabulary: Path) -> Iterator[ScriptedServer]:
    """Server with a loaded and an unloaded model, a finished job, and files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", scripted_training_path())
        with (
            serving_scripted(
                vocabulary, ("tiny", "other"), engine={"context": 4096}, aliases={"small": "tiny"}
            ) as server,
            server.client() as client,
        ):
            file_id = upload(client)
            job = create(client, file_id, steps=20, validation_files=[file_id], suffix="captain")
            assert wait_for(client, job["id"])["status"] == "SUCCESS"
            yield server


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[httpx2.Client]:
    with server.client() as client:
        yield client


def row(page: Page, table: str, name: str) -> Any:
    return page.get_by_role("region", name=table).get_by_role("row").filter(has_text=name)


def tile(page: Page, name: str) -> Any:
    return page.locator(".tile").filter(has_text=name).locator(".tile-value")


def test_models_are_shown_loaded_or_not(server: ScriptedServer, open_page: OpenPage) -> None:
    page = open_page(server)
    tiny, other, tuned = (row(page, "Models", name) for name in ("also small", "other", "made from tiny"))
    expect(tiny).to_contain_text("ready")
    expect(tiny).to_contain_text("default")
    expect(tiny).to_contain_text("4,096")
    expect(other).to_contain_text("unloaded")
    link = tuned.get_by_role("link", name="Try beside its base")
    assert re.fullmatch(r"/playground#model=ft%3Atiny%3Acaptain.*&beside=tiny", link.get_attribute("href") or "")
    expect(other.get_by_role("link", name="Try")).to_have_attribute("href", "/playground#model=other")


def test_load_is_that_of_the_engines(
    server: ScriptedServer, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = StepReport(running=3, cells_used=2**14, cells_kept=2**13, drawn_tokens=100)
    monkeypatch.setattr(type(server.engine), "report", report)
    monkeypatch.setattr(type(server.engine), "waiting", 7)
    page = open_page(server)
    expect(tile(page, "Running")).to_have_text("3 / 16")
    expect(tile(page, "Waiting")).to_have_text("7")
    expect(tile(page, "KV cells")).to_have_text("25 %")
    expect(tile(page, "Tokens/s")).to_have_text("0")
    monkeypatch.setattr(type(server.engine), "report", StepReport(drawn_tokens=10_000))
    expect(tile(page, "Tokens/s")).to_have_text(re.compile(r"^[\d,]*[1-9][\d,]*$"))


def test_request_appears_with_its_tokens_and_not_its_text(
    server: ScriptedServer, client: httpx2.Client, open_page: OpenPage
) -> None:
    page = open_page(server)
    expect(page.get_by_role("heading", name="Last requests")).to_be_visible()
    tokens = server.engine.tokens("{}")
    server.engine.play(*(Delta(choice, tokens, "stop", cached_tokens=5) for choice in range(3)))
    asked = body("a private question", n=3, response_format={"type": "json_object"})
    usage = client.post(CHAT, json=asked).json()["usage"]
    shown = row(page, "Last requests", "chat, n=3, JSON")
    expect(shown).to_contain_text(f"{usage['prompt_tokens']} → {usage['completion_tokens']}")
    expect(shown).to_contain_text("5 cached")
    expect(tile(page, "Prompt tokens from the cache")).to_have_text(re.compile(r"\d %"))
    expect(page.locator("body")).not_to_contain_text("a private question")
    client.post(CHAT, json={"messages": []})
    expect(row(page, "Last requests", "422")).to_be_visible()


def test_curves_are_the_jobs_checkpoints(server: ScriptedServer, client: httpx2.Client, open_page: OpenPage) -> None:
    (job,) = client.get("/v1/fine_tuning/jobs").json()["data"]
    page = open_page(server)
    page.get_by_text("Points as a table").click()
    cells = page.get_by_role("region", name="Points of the curves").get_by_role("row")
    expect(cells).to_have_count(21)
    points = [line.split("\t") for line in cells.all_inner_texts()[1:]]
    checkpoints = client.get(f"/v1/fine_tuning/jobs/{job['id']}").json()["checkpoints"]
    shown = {int(step): float(loss) for step, _, loss in points if loss.strip()}
    assert shown == {point["step_number"]: point["metrics"]["valid_loss"] for point in checkpoints}
    assert [float(loss) for _, loss, _ in points] == [1 / step for step in range(1, 21)]
    legend = page.locator(".u-legend")
    expect(legend).to_contain_text("0.050")
    page.locator(".u-over").hover(position={"x": 1, "y": 50})
    expect(legend).to_contain_text("1.000")


def test_first_snippet_names_the_model_and_is_copied(server: ScriptedServer, open_page: OpenPage) -> None:
    page = open_page(server)
    code = page.get_by_role("region", name="A first request")
    expect(code).to_contain_text(f"{server.url}/v1/chat/completions")
    expect(code).to_contain_text('"tiny"')
    page.get_by_label("Language").select_option("python-mistralai")
    expect(code).to_contain_text("from mistralai")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == code.inner_text()


def test_files_are_uploaded_downloaded_and_deleted(
    server: ScriptedServer, client: httpx2.Client, open_page: OpenPage, guard: PageGuard
) -> None:
    page = open_page(server)
    content = b'{"messages": []}\n'
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Upload a file").click()
    chosen.value.set_files({"name": "new.jsonl", "mimeType": "application/jsonl", "buffer": content})
    expect(row(page, "Files", "new.jsonl")).to_contain_text("17 B")
    with page.expect_download() as loaded:
        page.get_by_role("button", name="Download new.jsonl").click()
    assert Path(loaded.value.path()).read_bytes() == content
    assert loaded.value.suggested_filename == "new.jsonl"
    page.get_by_role("button", name="Delete new.jsonl").click()
    assert "new.jsonl" in client.get("/v1/files").text
    page.get_by_role("button", name="Really delete new.jsonl").click()
    expect(row(page, "Files", "new.jsonl")).to_have_count(0)
    assert "new.jsonl" not in client.get("/v1/files").text
    guard.expect("status of 400")
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Upload a file").click()
    chosen.value.set_files({"name": "bad.jsonl", "mimeType": "application/jsonl", "buffer": b"not json\n"})
    expect(page.get_by_role("alert")).to_contain_text("Line 1")


def test_nothing_is_shown_before_a_key_and_after_a_wrong_one(
    keyed: ScriptedServer, open_page: OpenPage, guard: PageGuard
) -> None:
    page = open_page(keyed)
    expect(page.get_by_text("Enter one to see what it does")).to_be_visible()
    expect(page.get_by_role("heading", name="Models")).to_have_count(0)
    assert not [request.url for request in guard.requests if "/v1/" in request.url]
    guard.expect("status of 401")
    enter_key(page, "Enter key", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("refuses the key")
    expect(page.get_by_role("heading", name="Models")).to_have_count(0)
    enter_key(page, "Key refused", KEY)
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="Key ✓").click()
    page.get_by_role("button", name="Forget").click()
    expect(page.get_by_role("heading", name="Models")).to_have_count(0)


def enter_key(page: Page, button: str, key: str) -> None:
    page.get_by_role("button", name=button).click()
    page.get_by_label("One of the server's keys").fill(key)
    page.keyboard.press("Enter")


def test_page_asks_once_a_second_and_not_while_it_is_hidden(
    server: ScriptedServer, open_page: OpenPage, guard: PageGuard
) -> None:
    page = open_page(server)
    expect(tile(page, "Waiting")).to_be_visible()

    def asked() -> int:
        return len([request for request in guard.requests if request.url.endswith("/v1/status")])

    page.wait_for_timeout(3000)
    assert 2 <= asked() <= 5
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
    page.evaluate(hide % "true")
    page.wait_for_timeout(1200)
    before = asked()
    page.wait_for_timeout(2500)
    assert asked() == before
    page.evaluate(hide % "false")
    with page.expect_request("**/v1/status"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_page_survives_the_servers_absence(vocabulary: Path, open_page: OpenPage, guard: PageGuard) -> None:
    guard.expect("ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_INCOMPLETE")
    with serving_scripted(vocabulary) as server:
        page = open_page(server)
        expect(tile(page, "Waiting")).to_be_visible()
        port = int(server.url.rpartition(":")[2])
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.get_by_role("status")).to_contain_text("no answer")
    expect(tile(page, "Waiting")).to_be_visible()
    with serving_scripted(vocabulary, port=port):
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.get_by_role("status")).to_contain_text("ready")


def test_everything_is_reached_by_keyboard(server: ScriptedServer, open_page: OpenPage) -> None:
    page = open_page(server)
    expect(page.get_by_role("button", name="Copy")).to_be_visible()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent"))
    for name in ("Upload a file", "Copy", "Points as a table", "Download data.jsonl", "Try: other", "captain"):
        assert any(name in each for each in reached), name


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_full_page_is_accessible_and_fits(
    server: ScriptedServer, client: httpx2.Client, open_page: OpenPage, dark: bool, width: int
) -> None:
    client.post(CHAT, json=body("x"))
    page = open_page(server, dark=dark, width=width)
    expect(page.locator(".u-legend")).to_be_visible()
    expect(page.get_by_role("region", name="A first request")).to_be_visible()
    screenshot(page, f"status-full-{width}-{'dark' if dark else 'light'}")
    assert accessibility_faults(page) == []
    assert overflow(page) == 0


def test_server_that_is_not_ready_says_so(
    server: ScriptedServer, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "is_open", False)
        page = open_page(server)
        expect(page.get_by_text("not ready yet")).to_be_visible()
        expect(row(page, "Models", "also small")).to_be_visible()
    expect(page.get_by_text("not ready yet")).to_have_count(0)
    expect(page.get_by_role("status")).to_contain_text("ready")


def test_running_stream_is_counted(server: ScriptedServer, client: httpx2.Client, open_page: OpenPage) -> None:
    page = open_page(server)
    server.engine.play("Hello", gate := Gate())
    with client.stream("POST", CHAT, json=body("x", stream=True)) as response:
        lines = response.iter_lines()
        next(lines)
        expect(tile(page, "Running")).to_have_text("1 / 16")
        gate.open()
        list(lines)
    expect(tile(page, "Running")).to_have_text("0 / 16")
    expect(row(page, "Last requests", "chat, streamed").first).to_contain_text("200")
