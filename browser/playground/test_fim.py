"""Fill in the middle: the request is cut at the cursor, and the filling is put there."""

from pathlib import Path

from playwright.sync_api import expect

from browser.playground.bench import Bench
from browser.playground.conftest import OpenBench
from tests.in_process import ScriptedServer
from tests.scripted_engine import Gate
from tests.serving import wait_until

FIM = "/v1/fim/completions"
CODE = "def area(width, height):\n    return "
REST = " * height\n"


def begin(bench: Bench) -> None:
    """Open a code with the cursor in its second line."""
    bench.new("Fill in the middle")
    bench.page.get_by_label("Code", exact=True).fill(CODE + REST)
    move(bench, len(CODE), len(CODE))


def move(bench: Bench, start: int, end: int) -> None:
    editor = bench.page.get_by_label("Code", exact=True)
    editor.evaluate("(area, [start, end]) => { area.focus(); area.setSelectionRange(start, end); }", [start, end])
    line = CODE[:start].count("\n") + 1
    expect(bench.page.locator(".fim-bar")).to_contain_text(f"line {line}")


def test_filling_is_put_at_the_cursor(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    scripted.engine.play("width")
    bench = open_bench(scripted)
    begin(bench)
    bench.button("Fill at the cursor").click()
    expect(bench.page.locator("mark")).to_have_text("width")
    assert bench.sent(FIM) == [{"model": "scripted", "prompt": CODE, "suffix": REST, "stream": True}]
    bench.button("Accept").click()
    editor = bench.page.get_by_label("Code", exact=True)
    expect(editor).to_have_value(f"{CODE}width{REST}")
    expect(editor).to_be_focused()
    assert editor.evaluate("area => area.selectionStart") == len(CODE) + 5


def test_selection_is_replaced(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    begin(bench)
    move(bench, 4, 8)
    expect(bench.page.locator(".fim-bar")).to_contain_text("4 characters selected")
    bench.page.keyboard.press("Control+Enter")
    expect(bench.button("Accept")).to_be_focused()
    (body,) = bench.sent(FIM)
    assert (body["prompt"], body["suffix"]) == ("def ", (CODE + REST)[8:])
    bench.page.keyboard.press("Enter")
    expect(bench.page.get_by_label("Code", exact=True)).to_have_value(f"def Hello world{(CODE + REST)[8:]}")


def test_escape_discards_and_stops(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    scripted.engine.play("wid", Gate())
    bench = open_bench(scripted)
    begin(bench)
    bench.button("Fill at the cursor").click()
    expect(bench.page.locator("mark")).to_have_text("wid")
    bench.page.keyboard.press("Escape")
    expect(bench.page.get_by_label("Code", exact=True)).to_have_value(CODE + REST)
    wait_until(lambda: scripted.engine.generations[-1].cancelled)


def test_file_is_opened(scripted: ScriptedServer, open_bench: OpenBench, tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text("x = \n")
    bench = open_bench(scripted)
    bench.new("Fill in the middle")
    bench.page.get_by_label("Code file").set_input_files(path)
    expect(bench.page.get_by_label("Code", exact=True)).to_have_value("x = \n")
