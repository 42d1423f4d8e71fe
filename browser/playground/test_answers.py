"""Answers: side by side, with their measures, stopped, and never run as scripts."""

import re

import pytest
from playwright.sync_api import expect

from browser.conftest import KEY, OpenPage
from browser.guard import PageGuard
from browser.playground.conftest import OpenBench
from ponant.engine.base import Delta
from tests.chatting import answer, texts
from tests.in_process import ScriptedServer, ServerInProcess
from tests.scripted_engine import Gate
from tests.serving import wait_until

HOSTILE = (
    '<img src=x onerror="document.title=\'run\'"> <script>document.title = "run"</script>\n\n'
    "![picture](https://example.com/a.png) [link](javascript:document.title='run') [fine](https://example.com)\n\n"
    "<iframe srcdoc='<script>parent.document.title=1</script>'></iframe> <a href='javascript:alert(1)'>raw</a>"
)


@pytest.mark.parametrize("coloured", [False, True])
def test_cards_are_the_choices_of_the_api(tiny: ServerInProcess, open_bench: OpenBench, coloured: bool) -> None:
    bench = open_bench(tiny)
    for label, value in {"max_tokens": "20", "random_seed": "7", "n side by side": "3"}.items():
        bench.set(label, value)
    if coloured:
        bench.colour()
    bench.send("Name a colour.", answers=3)
    expected = texts(answer(tiny, text="Name a colour.", max_tokens=20, random_seed=7, n=3))
    assert len(set(expected)) == 3
    if coloured:
        assert bench.texts() == expected
    else:
        page_of = (
            "(texts) => import('/pages/static/playground/markdown.js').then(({ safeHtml }) => texts.map(safeHtml))"
        )
        html = bench.page.evaluate(page_of, expected)
        shown = [body.locator(".markdown").inner_html() for body in bench.bodies]
        assert [_normal(text) for text in shown] == [_normal(text) for text in html]


def _normal(html: str) -> str:
    return re.sub(r"\s+", " ", html).strip()


def test_measures_stand_under_an_answer(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    engine = scripted.engine
    tokens = engine.tokens("abc")
    gate = Gate()
    engine.play(Delta(0, tokens[:1], cached_tokens=5), gate, Delta(0, tokens[1:], "length", cached_tokens=5))
    bench = open_bench(scripted)
    bench.message.fill("Hello")
    bench.message.press("Enter")
    expect(bench.cards.locator(".measures")).to_contain_text("first after")
    bench.page.wait_for_timeout(50)  # speeds of shorter times are not shown
    gate.open()
    bench.wait()
    measures = bench.cards.locator(".measures")
    expect(measures).to_contain_text("3 tokens")
    expect(measures).to_contain_text(re.compile(r"[\d.]+ tokens/s"))
    expect(measures).to_contain_text(re.compile(r"first after \d+ ms"))
    expect(measures).to_contain_text(f"5 of {len(engine.requests[-1].prompt)} prompt tokens cached")
    expect(measures).to_contain_text("cut off at max_tokens")


def test_two_models_answer_side_by_side(pair: ScriptedServer, open_bench: OpenBench) -> None:
    pair.engines["first"].play("from the first")
    pair.engines["second"].play("from the second")
    bench = open_bench(pair)
    bench.page.get_by_label("Beside it").select_option("second")
    bench.send("Hello", answers=2)
    assert bench.texts() == ["from the first", "from the second"]
    assert sorted(body["model"] for body in bench.sent()) == ["first", "second"]
    for card, model in zip(bench.cards.all(), ("first", "second"), strict=True):
        expect(card.get_by_role("heading")).to_have_text(model)
        expect(card.locator(".measures")).to_contain_text("prompt tokens cached")


def test_next_message_follows_the_chosen_card(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    engine = scripted.engine
    engine.play(*(Delta(choice, engine.tokens(f"answer {choice}")) for choice in range(2)))
    bench = open_bench(scripted)
    bench.set("n side by side", "2")
    bench.send("One")
    bench.button("Choose", within=bench.cards.nth(1)).click()
    bench.send("Two")
    assert bench.sent()[-1]["messages"][1] == {"role": "assistant", "content": "answer 1"}


def test_stop_ends_the_generation(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    scripted.engine.play("half", Gate(), " whole")
    bench = open_bench(scripted)
    bench.message.fill("Hello")
    bench.message.press("Enter")
    expect(bench.page.get_by_text("half")).to_be_visible()
    bench.button("Stop").click()
    bench.wait()
    generation = scripted.engine.generations[-1]
    wait_until(lambda: generation.cancelled)
    assert bench.texts() == ["half"]
    expect(bench.cards.locator(".measures")).to_contain_text("stopped")


def test_escape_stops_too(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    scripted.engine.play("half", Gate())
    bench = open_bench(scripted)
    bench.message.fill("Hello")
    bench.message.press("Enter")
    expect(bench.page.get_by_text("half")).to_be_visible()
    bench.message.press("Escape")
    bench.wait()
    wait_until(lambda: scripted.engine.generations[-1].cancelled)


@pytest.mark.parametrize("whole", [True, False])
def test_model_text_is_never_run_nor_loads_anything(
    scripted: ScriptedServer, open_bench: OpenBench, whole: bool
) -> None:
    pieces = [HOSTILE] if whole else [HOSTILE[at : at + 7] for at in range(0, len(HOSTILE), 7)]
    scripted.engine.play(*pieces)
    bench = open_bench(scripted)
    title = bench.page.title()
    bench.send("Hello")
    body = bench.cards.locator(".answer-body")
    assert "<img src=x" in (body.text_content() or "")
    assert body.locator("img, script, iframe, svg, style, form").count() == 0
    for link in body.locator("a").all():
        assert (link.get_attribute("href") or "https:").startswith("https:")
        assert "noopener" in (link.get_attribute("rel") or "")
    assert body.locator("a", has_text="picture").get_attribute("href") == "https://example.com/a.png"
    assert bench.page.title() == title  # the guard fails for requests to other hosts


def test_error_of_the_api_is_shown_in_the_card(
    scripted: ScriptedServer, open_bench: OpenBench, guard: PageGuard
) -> None:
    guard.expect("status of 400")
    bench = open_bench(scripted)
    bench.set("max_tokens", "100000")
    bench.send("Hello")
    expect(bench.cards.get_by_role("alert")).to_contain_text("max_tokens")
    bench.set("max_tokens", "5")
    bench.button("Regenerate").click()
    bench.wait()
    expect(bench.cards.locator(".answer-body")).to_contain_text("Hello")


def test_thinking_stands_apart(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    scripted.engine.play("<think>\nLegs: 4 each.\n</think>\n\nTwelve.")
    bench = open_bench(scripted)
    bench.page.get_by_label("Reasoning").select_option("reasoning")
    bench.send("Three dogs. How many legs?")
    assert bench.sent()[-1]["prompt_mode"] == "reasoning"
    thinking = bench.cards.locator("details.thinking")
    thinking.locator("summary").click()
    expect(thinking).to_contain_text("Legs: 4 each.")
    expect(bench.cards.locator(".markdown")).to_have_text("Twelve.")


def test_key_reaches_no_address_and_no_storage(keyed: ScriptedServer, open_page: OpenPage, guard: PageGuard) -> None:
    page = open_page(keyed, "/playground")
    expect(page.get_by_text("This server has keys")).to_be_visible()
    page.get_by_role("button", name="Enter key").click()
    page.get_by_label("One of the server's keys").fill(KEY)
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Message", exact=True).fill("Hello")
    page.keyboard.press("Enter")
    expect(page.locator("article.answer .answer-body")).to_contain_text("Hello world")
    page.get_by_role("button", name="Copy as a link").click()
    kept = page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
    stored = page.evaluate(
        "import('/pages/static/playground/library.js')"
        ".then(({ allConversations }) => allConversations()).then(JSON.stringify)"
    )
    link = page.evaluate("navigator.clipboard.readText()")
    assert KEY not in kept + stored + link
    assert not [request.url for request in guard.requests if KEY in request.url]
