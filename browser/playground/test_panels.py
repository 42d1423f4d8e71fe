"""Panels: schemas with their verdicts, tools, predictions, and the fields of sampling."""

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.guard import PageGuard
from browser.playground.conftest import OpenBench
from ponant.engine.base import Delta
from tests.in_process import ScriptedServer
from tests.scripted_engine import Gate

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "year": {"type": "integer", "minimum": 1000}},
    "required": ["name", "year"],
    "additionalProperties": False,
}


def test_server_gives_its_verdict_on_a_schema(
    scripted: ScriptedServer, open_bench: OpenBench, guard: PageGuard
) -> None:
    guard.expect("status of 400")
    bench = open_bench(scripted)
    panel = bench.panel("JSON schema")
    panel.get_by_label("Format").select_option("json_schema")
    generated = len(scripted.engine.requests)
    expect(panel.get_by_text("The server accepts this schema.")).to_be_visible()
    panel.get_by_label("Schema", exact=True).fill('{"type": "object", "patternProperties": {"(a)\\\\1": {}}}')
    expect(panel.locator(".verdict.invalid")).to_contain_text("response_format")
    panel.get_by_label("Schema", exact=True).fill('{"type": "obj')
    expect(panel.locator(".verdict.invalid")).to_contain_text("No JSON object")
    bench.message.fill("Hello")
    assert not bench.button("Send").is_enabled()
    assert len(scripted.engine.requests) == generated


@pytest.mark.parametrize(
    ("pieces", "so_far", "end"),
    [
        (['{"name": "Ar-Men", ', '"year": 1881}'], "Valid so far.", "Satisfies the schema."),
        (['{"name": "Ar-Men", "year": 7, ', '"x": 1}'], "/year: 7 is less than 1000.", "/year: 7 is less than 1000."),
        (['{"name": 7, ', '"year": 1881}'], "/name: Instance type", "/name: Instance type"),
        (
            ['{"name": "Ar-Men", "year": 1881, "extra', '": 1}'],
            "Valid so far.",
            "/extra: This member or item is not allowed.",
        ),
        (['{"name": "Ar-', "Men"], "Valid so far.", "Cut off"),
        (["Of course", ": {}"], "No JSON", "No JSON"),
    ],
)
def test_document_is_checked_while_it_comes(
    scripted: ScriptedServer, open_bench: OpenBench, pieces: list[str], so_far: str, end: str
) -> None:
    gate = Gate()
    scripted.engine.play(pieces[0], gate, pieces[1])
    bench = open_bench(scripted)
    panel = bench.panel("JSON schema")
    panel.get_by_label("Format").select_option("json_schema")
    panel.get_by_label("Schema", exact=True).fill(json.dumps(SCHEMA))
    bench.message.fill("A lighthouse")
    bench.message.press("Enter")
    verdict = bench.cards.locator(".verdict")
    expect(verdict).to_contain_text(so_far)
    gate.open()
    bench.wait()
    expect(verdict).to_contain_text(end)
    assert bench.sent()[-1]["response_format"]["json_schema"]["schema"] == SCHEMA


def test_tools_are_called_and_answered(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    calls = [{"name": "get_weather", "arguments": {"city": city}} for city in ("Brest", "Quimper")]
    scripted.engine.play("".join(f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in calls))
    scripted.engine.play("Rain in both.")
    bench = open_bench(scripted)
    panel = bench.panel("Tools")
    bench.button("Add a tool", within=panel).click()
    expect(panel.get_by_text("The server accepts this tool.")).to_be_visible()
    panel.get_by_label("tool_choice").select_option("any")
    bench.send("The weather?")
    body = bench.sent()[-1]
    assert body["tool_choice"] == "any"
    assert body["tools"][0]["function"]["name"] == "get_weather"
    shown = bench.cards.locator(".call")
    assert [json.loads(text) for text in shown.locator("pre").all_text_contents()] == [
        call["arguments"] for call in calls
    ]
    panel.get_by_label("tool_choice").select_option("auto")
    fields = bench.page.locator("form.results textarea")
    expect(fields).to_have_count(2)
    fields.nth(0).fill('{"sky": "rain"}')
    fields.nth(1).fill("rain, too")
    bench.button("Send results").click()
    bench.wait()
    _, assistant, *results = bench.sent()[-1]["messages"]
    ids = [call["id"] for call in assistant["tool_calls"]]
    assert [call["function"]["name"] for call in assistant["tool_calls"]] == ["get_weather", "get_weather"]
    assert [(result["tool_call_id"], result["content"]) for result in results] == [
        (ids[0], '{"sky": "rain"}'),
        (ids[1], "rain, too"),
    ]
    assert bench.texts()[-1] == "Rain in both."


def test_prediction_is_compared_with_none(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    tokens = scripted.engine.tokens("abcdefgh")
    for accepted in (6, 0):
        scripted.engine.play(Delta(0, tokens, "stop", accepted=accepted, rejected=1 if accepted else 0))
    bench = open_bench(scripted)
    panel = bench.panel("Prediction")
    panel.get_by_label("Predict the answer").check()
    panel.get_by_label("Expected answer").fill("abcdefg")
    bench.send("Spell the alphabet", answers=2)
    with_it, without = bench.sent()
    assert with_it["prediction"] == {"type": "content", "content": "abcdefg"}
    assert without == {name: value for name, value in with_it.items() if name != "prediction"}
    expect(bench.page.locator(".gain")).to_contain_text("6 predicted tokens accepted, 1 rejected")


def test_fields_of_sampling_are_sent(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    panel = bench.panel("Sampling")
    panel.get_by_text("More fields").click()
    values = {"temperature": "0.3", "top_p": "0.9", "max_tokens": "8", "random_seed": "4", "presence_penalty": "0.5"}
    for label, value in values.items():
        bench.set(label, value)
    bench.set("Stop strings, one a line", "###\n\\n\\n")
    bench.set("Other fields, as JSON", '{"top_k": 12}')
    bench.set("System message", "Be brief.")
    bench.send("Hello")
    assert bench.sent()[-1] == {
        "model": "scripted",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "stream": True,
        **{name: json.loads(value) for name, value in values.items()},
        "stop": ["###", "\n\n"],
        "top_k": 12,
    }


def test_unreadable_fields_are_not_sent(scripted: ScriptedServer, open_bench: OpenBench) -> None:
    bench = open_bench(scripted)
    bench.panel("Sampling").get_by_text("More fields").click()
    bench.set("Other fields, as JSON", "{top_k: 12}")
    bench.message.fill("Hello")
    expect(bench.page.locator(".composer .problem")).to_contain_text("Other fields")
    assert not bench.button("Send").is_enabled()
