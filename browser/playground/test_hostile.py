"""Texts and files that would break the playground: deep and long Markdown, mixed turns, code with other line ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.playground.bench import Bench
from browser.playground.conftest import OpenBench
from tests.in_process import ScriptedServer

ANSWER = {"role": "assistant", "asked": {"model": "scripted"}, "content": "an answer", "finish": "stop"}
MESSAGE = {"role": "user", "content": "a message"}


def import_turns(bench: Bench, folder: Path, turns: dict[str, Any], children: list[str]) -> None:
    """Import a conversation with these turns."""
    conversation = {"kind": "chat", "turns": turns, "children": children, "chosen": children[0]}
    path = folder / "file.json"
    path.write_text(json.dumps({"format": "ponant-playground", "version": 1, "conversations": [conversation]}))
    bench.page.get_by_label("File to import").set_input_files(path)
    expect(bench.page.get_by_text("1 conversation imported.")).to_be_visible()
    bench.wait()


@pytest.mark.parametrize("text", ['"> ".repeat(4000) + "end"', '"- ".repeat(8000) + "end"'], ids=["quotes", "lists"])
def test_deep_markdown_is_shown_as_written(scripted: ScriptedServer, open_bench: OpenBench, text: str) -> None:
    page = open_bench(scripted).page
    html = page.evaluate(f"import('/pages/static/playground/markdown.js').then((it) => it.safeHtml({text}))")
    assert html.endswith("end</p>")


def test_long_paragraph_has_no_emphasis(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    """The search for the end of each of its marks would take half a minute."""
    page = open_bench(scripted).page
    html = page.evaluate(
        "import('/pages/static/playground/markdown.js').then((it) => it.safeHtml('a**'.repeat(60000) + '\\n\\n**b**'))"
    )
    assert html.endswith("a**</p>\n<p><strong>b</strong></p>\n")


def test_files_with_mixed_turns_are_shown(scripted: ScriptedServer, open_bench: OpenBench, tmp_path: Path) -> None:
    """Groups join answers of one turn alone, numbers are numbers, and chains may be long."""
    bench = open_bench(scripted)
    turns = {"a": {**MESSAGE, "group": "g"}, "b": {**ANSWER, "group": "g", "children": ["c"], "chosen": "c"}}
    odd = {"prompt_tokens": {"toString": 1}, "completion_tokens": [1], "num_cached_tokens": "x"}
    turns["c"] = {**ANSWER, "group": "g", "usage": odd}
    import_turns(bench, tmp_path, turns, ["b", "a"])
    expect(bench.cards).to_have_count(2)
    long = {f"t{place}": {**MESSAGE, "children": [f"t{place + 1}"], "chosen": None} for place in range(20000)}
    import_turns(bench, tmp_path, {**long, "t20000": MESSAGE}, ["t0"])
    expect(bench.page.get_by_role("region", name="You")).to_have_count(1)


def test_turn_that_cannot_be_shown_leaves_the_others(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.page.route(
        "**/views/measures.js",
        lambda route: route.fulfill(
            content_type="text/javascript", body="export function Measures() { throw new Error('no measures'); }"
        ),
    )
    bench.page.reload()
    bench.send("One")
    expect(bench.page.get_by_role("alert")).to_have_text("This turn cannot be shown: no measures")
    expect(bench.page.get_by_role("region", name="You")).to_be_visible()
    bench.button("Delete", within=bench.page.get_by_role("region", name="Turn that cannot be shown")).click()
    expect(bench.page.get_by_role("alert")).to_have_count(0)


def test_code_with_other_line_ends_keeps_its_cursor(
    scripted: ScriptedServer, open_bench: OpenBench, tmp_path: Path
) -> None:
    bench = open_bench(scripted)
    bench.new("Fill in the middle")
    path = tmp_path / "code.py"
    path.write_bytes(b"a = 1\r\nb = 2\r\nc = 3\r\n")
    bench.page.get_by_label("Code file").set_input_files(path)
    code = bench.page.get_by_label("Code", exact=True)
    expect(code).to_have_value("a = 1\nb = 2\nc = 3\n")
    code.focus()
    for key in ("Control+Home", "ArrowDown", "ArrowDown"):
        bench.page.keyboard.press(key)
    bench.button("Fill at the cursor").click()
    bench.wait()
    (body,) = bench.sent("/v1/fim/completions")
    assert (body["prompt"], body["suffix"]) == ("a = 1\nb = 2\n", "c = 3\n")


def test_right_to_left_text_begins_at_the_right(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.send("שלום עולם!")
    margins = bench.page.evaluate("""(() => {
        const said = document.querySelector(".said"), range = document.createRange();
        range.selectNodeContents(said);
        const [outer, inner] = [said, range].map((one) => one.getBoundingClientRect());
        return [inner.left - outer.left, outer.right - inner.right];
    })()""")
    assert margins[0] > margins[1]
