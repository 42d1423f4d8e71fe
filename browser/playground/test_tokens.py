"""Colours by probability: they are the log-probabilities, and alternatives continue an answer."""

import math
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from browser.playground.bench import Bench
from browser.playground.conftest import OpenBench
from ponant.engine.base import Delta, TokenLogprobs
from tests.chatting import answer, texts
from tests.in_process import ScriptedServer, ServerInProcess

SPLIT = "漢".encode()
HALVES = [SPLIT[:2], SPLIT[2:]]


def token_of(server: ScriptedServer, data: bytes) -> int:
    """Return the id of the token with these bytes."""
    vocabulary = server.engine._vocabulary
    return next(token for token in range(300) if vocabulary.piece(token) == data)


def play(server: ScriptedServer, *pieces: bytes, others: dict[int, list[bytes]] | None = None) -> list[int]:
    """Play tokens, each a tenth less likely than the one before, with alternatives at some places."""
    tokens = [token_of(server, piece) for piece in pieces]
    logprobs = []
    for place, token in enumerate(tokens):
        logprob = -0.1 - place / 2
        more = [(token_of(server, piece), logprob - 1) for piece in (others or {}).get(place, [])]
        logprobs.append(TokenLogprobs(logprob, [(token, logprob), *more]))
    server.engine.play(*(Delta(0, [token], logprobs=[known]) for token, known in zip(tokens, logprobs, strict=True)))
    return tokens


def strengths(cells: Locator) -> list[float]:
    return [
        float(strength)
        for strength in cells.evaluate_all("all => all.map(one => one.style.getPropertyValue('--strength'))")
    ]


def logprobs_of(cells: Locator) -> list[float]:
    return [float(logprob) for logprob in cells.evaluate_all("all => all.map(one => one.dataset.logprob)")]


def strength_of(logprob: float) -> float:
    return min(1.0, -logprob / math.log(100))


def grouped(entries: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Return the texts and log-probabilities of tokens, those that share a character together."""
    cells, data, logprob = [], b"", 0.0
    for entry in entries:
        data += bytes(entry["bytes"])
        logprob += entry["logprob"]
        try:
            cells.append((data.decode(), logprob))
        except UnicodeDecodeError:
            continue
        data, logprob = b"", 0.0
    return cells


def split_answer(server: ServerInProcess) -> tuple[int, dict[str, Any]]:
    """Return a seed with its answer, in which a character spans tokens."""
    fields: dict[str, Any] = {"max_tokens": 60, "temperature": 1, "logprobs": True, "top_logprobs": 5}
    for seed in range(50):
        response = answer(server, text="Hello", random_seed=seed, **fields)
        entries = response["choices"][0]["logprobs"]["content"]
        if len(grouped(entries)) < len(entries):
            return seed, response
    raise AssertionError("no character spans tokens")


def test_colours_are_the_logprobs_of_the_api(tiny: ServerInProcess, open_bench: OpenBench) -> None:
    seed, expected = split_answer(tiny)
    bench = open_bench(tiny)
    for label, value in {"max_tokens": "60", "random_seed": str(seed), "temperature": "1"}.items():
        bench.set(label, value)
    bench.colour()
    bench.send("Hello")
    assert bench.texts() == texts(expected)
    cells = grouped(expected["choices"][0]["logprobs"]["content"])
    shown = bench.cards.locator(".token")
    assert shown.all_text_contents() == [text for text, _ in cells]
    assert logprobs_of(shown) == pytest.approx([logprob for _, logprob in cells], abs=1e-3)
    assert strengths(shown) == pytest.approx([strength_of(logprob) for _, logprob in cells], abs=2e-3)


def test_less_likely_tokens_have_stronger_colours(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    play(scripted, b"a", b"b", b"c", b"d", b"e", b"f")
    bench = open_bench(scripted)
    bench.colour()
    bench.send("Hello")
    colours = bench.cards.locator(".token").evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    assert len(set(colours)) == 6


def open_alternatives(bench: Bench, place: int) -> Locator:
    bench.cards.locator(".token").nth(place).hover()
    panel = bench.page.get_by_role("dialog", name="Alternatives")
    expect(panel).to_be_visible()
    return panel


def test_alternative_continues_with_the_right_prefix(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    play(scripted, b"a", b" the", b"c", others={1: [b" and", b" of"]})
    bench = open_bench(scripted)
    bench.colour()
    bench.set("n side by side", "1")
    bench.send("Hello")
    panel = open_alternatives(bench, 1)
    assert panel.locator("code").all_text_contents() == ["·the", "·and", "·of"]
    expect(panel.locator(".alternative").nth(0)).to_contain_text(f"{100 * math.exp(-0.6):.1f}%")
    play(scripted, b"x", b"y")
    panel.get_by_role("button").nth(1).click()
    bench.wait()
    assert bench.sent()[-1]["messages"] == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "a and", "prefix": True},
    ]
    assert bench.texts() == ["a andxy"]
    cells = bench.cards.locator(".token")
    assert cells.all_text_contents() == ["a", " and", "x", "y"]
    assert logprobs_of(cells) == pytest.approx([-0.1, -1.6, -0.1, -0.6])
    expect(bench.page.get_by_label("Branch 2 of 2")).to_be_visible()


def test_alternatives_within_a_character(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    play(scripted, b"a", *HALVES, b"b", others={1: [b" of", b"\xf0\x9f"], 2: [b"\xa3", b"x"]})
    bench = open_bench(scripted)
    bench.colour()
    bench.send("Hello")
    cells = bench.cards.locator(".token")
    assert cells.all_text_contents() == ["a", "漢", "b"]
    assert logprobs_of(cells) == pytest.approx([-0.1, -0.6 - 1.1, -1.6])
    panel = open_alternatives(bench, 1)
    assert panel.locator("code").all_text_contents() == ["E6 BC", "·of", "F0 9F", "A2", "A3", "x"]
    usable = [button.is_enabled() for button in panel.get_by_role("button").all()]
    assert usable == [False, True, False, True, True, False]
    panel.get_by_role("button").nth(4).click()
    bench.wait()
    assert bench.sent()[-1]["messages"][-1] == {"role": "assistant", "content": "a漣", "prefix": True}


def test_alternatives_by_keyboard(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    play(scripted, b"a", b"b", b"c", others={1: [b"x", b"y"]})
    bench = open_bench(scripted)
    bench.colour()
    bench.send("Hello")
    bench.cards.locator(".token").first.focus()
    bench.page.keyboard.press("ArrowRight")
    panel = bench.page.get_by_role("dialog", name="Alternatives")
    expect(panel.locator("code").nth(1)).to_have_text("x")
    bench.page.keyboard.press("Enter")
    expect(panel.get_by_role("button").first).to_be_focused()
    bench.page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(bench.cards.locator(".token").nth(1)).to_be_focused()
    bench.page.keyboard.press("Enter")
    expect(panel.get_by_role("button").first).to_be_focused()
    bench.page.keyboard.press("ArrowDown")
    bench.page.keyboard.press("ArrowDown")
    bench.page.keyboard.press("Enter")
    bench.wait()
    assert bench.sent()[-1]["messages"][-1]["content"] == "ay"


def test_document_of_a_schema_is_not_continued(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    play(scripted, b"{", b"}")
    bench = open_bench(scripted)
    bench.colour()
    bench.panel("JSON schema").get_by_label("Format").select_option("json_object")
    bench.send("Hello")
    panel = open_alternatives(bench, 0)
    expect(panel).to_contain_text("exclude each other")
    assert not panel.get_by_role("button").first.is_enabled()
