"""The hostile trials: places in a schema, judged replies, measured event loops. ``make hostile`` runs them."""

import asyncio
import json
import time
from typing import Any

import pytest

from hostile.findings import Expected, Finding, judge
from hostile.http_client import Reply
from hostile.loop_meter import LoopCounts, LoopMeter, count_values
from hostile.measured_server import Measurement
from hostile.page import PAGE, with_summary
from hostile.requests import Request, RequestMaker
from hostile.results import Part
from hostile.rules import Answered, violations
from hostile.schema import ApiSchema
from hostile.tolerated import fetch_document
from tests.in_process import ServerInProcess

MB = 2**20
SCHEMA: dict[str, Any] = {
    "paths": {
        "/things/{id}": {
            "post": {
                "parameters": [{"name": "id", "in": "path"}, {"name": "page", "in": "query"}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "responses": {"200": {}, "422": {}},
            }
        }
    },
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "properties": {
                    "name": {"anyOf": [{"type": "null"}, {"type": "string"}]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                    "kind": {"const": "thing"},
                },
                "required": ["name"],
            }
        }
    },
}


def test_every_field_of_a_recursive_schema_is_a_place() -> None:
    schema = ApiSchema(SCHEMA)
    (operation,) = schema.operations()
    assert operation.body
    places = {place.name: place for place in schema.places(operation.body)}
    assert list(places) == ["", "name", "parts", "kind", "unknown_field"]
    assert places["parts"].fill(7) == {"name": "a", "kind": "thing", "parts": 7}


def test_values_are_put_into_bodies_paths_and_queries() -> None:
    maker = RequestMaker(ApiSchema(SCHEMA), {"id": "7"})
    (operation,) = ApiSchema(SCHEMA).operations()
    requests = {request.name: request for request in maker.small(operation)}
    assert requests["POST /things/{id} name: number 1e400"].body == b'{"name": 1e400, "kind": "thing"}'
    assert requests["POST /things/{id} id: text path"].target.startswith("/things/..%2F")
    assert requests["POST /things/{id} page: number -1"].target == "/things/7?page=-1"


def test_every_operation_of_the_server_has_a_valid_request(tiny_server: ServerInProcess) -> None:
    schema = ApiSchema(fetch_document(tiny_server.url))
    maker = RequestMaker(schema, {})
    chat = next(operation for operation in schema.operations() if operation.path == "/v1/chat/completions")
    with tiny_server.client() as client:
        response = client.post(chat.path, json=json.loads(maker.valid(chat).body) | {"max_tokens": 1})
    assert response.status_code == 200, response.text
    assert chat.body
    names = [place.name for place in schema.places(chat.body)]
    assert "messages[]<UserMessage>.content[]<TextChunk>.text" in names
    assert "tools[]<Tool>.function<Function>.name" in names or "tools[].function.name" in names


@pytest.mark.parametrize(
    ("status", "size", "counts", "peak", "rules"),
    [
        (200, 10**7, LoopCounts(), 0, []),
        (422, 16_000, LoopCounts(most_errors=20), 64, []),
        (422, 19_000, LoopCounts(most_errors=21), 0, ["large error", "errors built"]),
        (500, 10, LoopCounts(), 0, ["5xx"]),
        (503, 10, LoopCounts(), 0, []),
        (404, 10, LoopCounts(), 0, ["undocumented status"]),
        (200, 10, LoopCounts(most_values=10**6 + 1), 65, ["values parsed", "memory"]),
        (200, 10, LoopCounts(worst_turn=0.06), 0, ["standstill"]),
        (0, 0, LoopCounts(), 0, ["no answer"]),
    ],
)
def test_replies_are_judged(status: int, size: int, counts: LoopCounts, peak: int, rules: list[str]) -> None:
    request = Request("a", "GET", "/", statuses=frozenset({200, 422, 503}))
    answered = Answered(
        request, Reply(status, size, 0.1, b""), Measurement(counts, 0, 100 * MB + peak * MB, 0), 100 * MB
    )
    assert [finding.rule for finding in violations(answered, with_times=True)] == rules


def test_findings_are_new_unless_they_are_expected() -> None:
    known, fixed = Expected("5xx", "POST * field: *", "known"), Expected("5xx", "GET *", "fixed")
    found = [Finding("5xx", "POST /a field: 1", ""), Finding("5xx", "POST /a other: 1", "")]
    verdict = judge(found, [known, fixed])
    assert (list(verdict.new), verdict.known[known], list(verdict.unseen)) == (found[1:], 1, [fixed])


def test_meter_counts_the_processor_time_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "thread_time", lambda: clock[0])
    meter = LoopMeter()

    async def compute() -> None:
        await asyncio.sleep(0)
        clock[0] += 2
        with meter.excused():
            clock[0] += 5
        await asyncio.sleep(0)
        clock[0] += 1

    with asyncio.Runner(loop_factory=meter.new_loop) as runner:
        runner.run(compute())
    assert meter.reset() == LoopCounts(worst_turn=2)
    assert meter.reset() == LoopCounts()


def test_values_of_all_levels_are_counted() -> None:
    assert count_values({"a": [1, {"b": None}]}) == 5


def test_table_is_written_into_the_page() -> None:
    part = Part("kills", requests=3, recoveries=[0.5, 1.0, 2.0], rate=0.9)
    written = with_summary(PAGE.read_text(), [part], "1.0")
    row = next(line for line in written.splitlines() if line.startswith("| kills"))
    assert [cell.strip() for cell in row.strip("|").split("|")][-3:] == ["1.00 s", "2.00 s", "90%"]
