"""The playground with a real model."""

import re

from playwright.sync_api import expect

from browser.playground.conftest import OpenBench
from tests.serving import RunningServer


def test_model_answers_in_colours(bundled: RunningServer, open_bench: OpenBench) -> None:
    bench = open_bench(bundled)
    bench.set("max_tokens", "8")
    bench.colour()
    bench.message.fill("Name a colour.")
    bench.message.press("Enter")
    expect(bench.cards.locator(".token").first).to_be_visible(timeout=60_000)
    expect(bench.page.locator("[aria-busy=true]")).to_have_count(0, timeout=60_000)
    expect(bench.cards.locator(".measures")).to_contain_text(re.compile(r"\d tokens?.*first after \d+ ms"))
    bench.cards.locator(".token").first.hover()
    expect(bench.page.get_by_role("dialog", name="Alternatives").get_by_role("listitem").nth(4)).to_be_visible()
