"""Looks: accessible in light and dark, within narrow windows, and everything by keyboard."""

import pytest
from playwright.sync_api import expect

from browser.looks import accessibility_faults, overflow, screenshot
from browser.playground.bench import Bench
from browser.playground.conftest import OpenBench
from ponant.engine.base import Delta, TokenLogprobs
from tests.in_process import ScriptedServer

TEXT = " the tide and a of hello"


def play(server: ScriptedServer, choices: int) -> None:
    """Play an answer whose tokens have all probabilities from certain to unlikely."""
    tokens = server.engine.tokens(TEXT)
    known = [TokenLogprobs(-place / 4, [(token, -place / 4), (65, -3.0)]) for place, token in enumerate(tokens)]
    server.engine.play(*(Delta(choice, tokens, logprobs=known) for choice in range(choices)))


def show_answers(server: ScriptedServer, bench: Bench) -> None:
    bench.set("n side by side", "3")
    bench.colour()
    panel = bench.panel("Tools")
    bench.button("Add a tool", within=panel).click()
    expect(panel.get_by_text("The server accepts this tool.")).to_be_visible()
    prediction = bench.panel("Prediction")
    prediction.get_by_label("Predict the answer").check()
    prediction.get_by_label("Compare with none").uncheck()
    play(server, 3)
    to_stage(bench)
    bench.send("Name one lighthouse.", answers=3)
    bench.cards.first.locator(".token").first.hover()
    expect(bench.page.get_by_role("dialog", name="Alternatives")).to_be_visible()


def show_document(server: ScriptedServer, bench: Bench) -> None:
    panel = bench.panel("JSON schema")
    panel.get_by_label("Format").select_option("json_schema")
    expect(panel.get_by_text("The server accepts this schema.")).to_be_visible()
    server.engine.play('{"name": "Ar-Men", "year": 1881}')
    to_stage(bench)
    bench.send("A lighthouse as JSON.", answers=1)


def show_calls(server: ScriptedServer, bench: Bench) -> None:
    bench.button("Add a tool", within=bench.panel("Tools")).click()
    server.engine.play('<tool_call>\n{"name": "get_weather", "arguments": {"city": "Brest"}}\n</tool_call>')
    to_stage(bench)
    bench.send("The weather?", answers=1)


def show_filling(_: ScriptedServer, bench: Bench) -> None:
    to_stage(bench)
    begin(bench, "Fill in the middle")
    bench.button("Fill at the cursor").click()
    bench.wait()


def show_matrix(_: ScriptedServer, bench: Bench) -> None:
    to_stage(bench)
    begin(bench, "Embeddings")
    bench.button("Embed").click()
    expect(bench.page.locator(".heat td").first).to_be_visible()


SCENES = {
    "answers": show_answers,
    "document": show_document,
    "calls": show_calls,
    "filling": show_filling,
    "matrix": show_matrix,
}


def to_stage(bench: Bench) -> None:
    """Close the settings where they cover the conversation."""
    toggle = bench.button("Settings and code")
    if toggle.is_visible() and toggle.get_attribute("aria-expanded") == "true":
        toggle.click()


def begin(bench: Bench, kind: str) -> None:
    toggle = bench.button("Conversations")
    if toggle.is_visible():
        toggle.click()
    bench.new(kind)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (390, False), (390, True)])
def test_scene_is_accessible_and_fits(
    scripted: ScriptedServer, open_bench: OpenBench, scene: str, width: int, dark: bool
) -> None:
    bench = open_bench(scripted, width=width, dark=dark)
    if width < 640:
        bench.button("Settings and code").click()
        assert accessibility_faults(bench.page) == []
    SCENES[scene](scripted, bench)
    screenshot(bench.page, f"playground-{scene}-{width}-{'dark' if dark else 'light'}")
    assert accessibility_faults(bench.page) == []
    assert overflow(bench.page) == 0


def test_everything_can_be_reached_by_keyboard(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    """The Tab key reaches each control, and each shows the focus."""
    bench = open_bench(scripted)
    bench.button("Add a tool", within=bench.panel("Tools")).click()
    bench.send("Hello", answers=1)
    page = bench.page
    controls = "button:not(:disabled), input, select, textarea, summary, a[href]"
    wanted = page.evaluate(
        f"[...document.querySelectorAll('{controls}')].filter(one => one.tabIndex >= 0 && one.checkVisibility()).length"
    )
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        found = page.evaluate(
            f"""(() => {{
                const one = document.activeElement;
                const all = [...document.querySelectorAll('{controls}')];
                return [all.indexOf(one), getComputedStyle(one).outlineStyle];
            }})()"""
        )
        if found[0] >= 0:
            reached.add(found[0])
            assert found[1] != "none"
    assert len(reached) == wanted


def test_conversation_by_keyboard_alone(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    scripted.engine.play("one")
    bench.message.focus()
    bench.page.keyboard.type("Hello")
    bench.page.keyboard.press("Enter")
    bench.wait()
    assert bench.texts() == ["one"]
    bench.button("Edit", within=bench.cards).focus()
    bench.page.keyboard.press("Enter")
    expect(bench.page.get_by_label("Answer", exact=True)).to_be_focused()
    bench.page.keyboard.type(" and two")
    bench.page.keyboard.press("Control+Enter")
    bench.wait()
    assert bench.sent()[-1]["messages"][-1] == {"role": "assistant", "content": "one and two", "prefix": True}
