"""Embeddings: the matrix has the cosines of the API's vectors."""

import numpy as np
import pytest
from playwright.sync_api import expect

from browser.playground.conftest import OpenBench
from tests.in_process import ScriptedServer

TEXTS = ["How do I bake bread?", "A recipe for sourdough", "The tide turns at noon"]


def test_matrix_is_the_cosines_of_the_vectors(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.new("Embeddings")
    bench.button("Embed").click()
    cells = bench.page.locator(".heat td")
    expect(cells).to_have_count(9)
    with scripted.client() as client:
        answer = client.post("/v1/embeddings", json={"model": "multilingual-e5-small", "input": TEXTS}).json()
    vectors = np.array([entry["embedding"] for entry in answer["data"]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    shown = [float(text) for text in cells.all_text_contents()]
    assert shown == pytest.approx(list(cosines.round(2).ravel()), abs=0.011)
    strengths = cells.evaluate_all("all => all.map(one => Number(one.style.getPropertyValue('--strength')))")
    others = [(value, strength) for value, strength in zip(shown, strengths, strict=True) if value < 1]
    assert sorted(others) == sorted(others, key=lambda pair: pair[1])


def test_texts_are_written_by_keyboard(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.new("Embeddings")
    bench.page.get_by_label("Text 3", exact=True).focus()
    bench.page.keyboard.press("Enter")
    bench.page.keyboard.type("Quatre")
    bench.page.keyboard.press("Enter")
    bench.page.keyboard.press("Backspace")
    expect(bench.page.get_by_label("Text 4", exact=True)).to_be_focused()
    bench.page.evaluate("navigator.clipboard.writeText('five\\nsix')")
    bench.page.keyboard.press("Enter")
    bench.page.keyboard.press("Control+v")
    expect(bench.page.get_by_label("Text 6", exact=True)).to_have_value("six")
    bench.page.keyboard.press("Control+Enter")
    expect(bench.page.locator(".heat td")).to_have_count(36)
    assert bench.sent("/v1/embeddings")[-1]["input"] == [*TEXTS, "Quatre", "five", "six"]
