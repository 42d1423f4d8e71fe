"""Modules of the page without its interface: places of tokens, and checks of documents that are not whole."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from browser.conftest import OpenPage
from tests.in_process import ScriptedServer

Bytes = bytes | str


@pytest.fixture
def page(scripted: ScriptedServer, open_page: OpenPage) -> Page:
    return open_page(scripted, "/playground")


def run(page: Page, module: str, script: str, *arguments: Any) -> Any:
    """Return the value of an expression with the names of a module, and with ``a`` for the arguments."""
    return page.evaluate(f"(a) => import('/pages/static/playground/{module}.js').then((m) => {script})", arguments)


def tokens_of(*pieces: Bytes) -> list[dict[str, Any]]:
    return [
        {"bytes": list(piece.encode() if isinstance(piece, str) else piece), "logprob": -1, "top": []}
        for piece in pieces
    ]


CELLS: list[Any] = [
    (["a", " b"], [("a b", 0)], [[("a", 0, 1), (" b", 1, 2)]]),
    (["a", b"\xe6\xbc", b"\xa2", "b"], [("a漢b", 0)], [[("a", 0, 1), ("漢", 1, 3), ("b", 3, 4)]]),
    ([b"a\xf0\x9f", b"\x98", b"\x80b"], [("a😀b", 0)], [[("a😀b", 0, 3)]]),
    (["x"], [("given x", 6)], [[("given ", 0, 0), ("x", 0, 1)]]),
    ([" A", "b"], [("Ab", 0)], [[("A", 0, 1), ("b", 1, 2)]]),
    (["a", "bcd"], [("ab", 0)], [[("a", 0, 1), ("b", 1, 2)]]),
    (["a", "<|im_end|>"], [("a", 0)], [[("a", 0, 1)]]),
    ([b"\xe6", "a"], [("\ufffda", 0)], [[("\ufffd", 0, 0), ("a", 1, 2)]]),
    (["<think>", "hm", "</think>", "\n\n", "Yes"], [("hm", 0), ("Yes", 0)], [[("hm", 1, 2)], [("Yes", 4, 5)]]),
    (["x", "y"], [("", 0)], [[]]),
]


def test_cells_of_tokens(page: Page) -> None:
    for pieces, texts, cells in CELLS:
        given = [{"text": text, "given": length} for text, length in texts]
        found = run(page, "tokens", "m.cellsOf(a[0], a[1])", tokens_of(*pieces), given)
        shown = [[(cell["text"], cell["start"], cell["end"] if cell["text"] else 0) for cell in part] for part in found]
        plain = [[(text, 0, 0) if start == end else (text, start, end) for text, start, end in part] for part in shown]
        assert plain == cells, pieces


DOCUMENTS: list[Any] = [
    ("", None, False, True),
    ('{"a": [1, 2', {"a": [1, 2]}, False, True),
    ('{"a": "x\\u00', {"a": "x"}, False, True),
    ('{"a": tr', {"a": True}, False, True),
    ('{"a": -', {"a": 0}, False, True),
    ('{"a": {}, "b": [null, 1.5e3]} ', {"a": {}, "b": [None, 1500]}, True, True),
    ("12", 12, True, True),
    ('{"a": 1}}', {"a": 1}, False, False),
    ("[1,]", [1], False, False),
    ('{"a": truth', {}, False, False),
    ("{a: 1}", {}, False, False),
    ('"a\nb"', None, False, False),
]


def test_beginning_of_a_document(page: Page) -> None:
    for text, value, is_complete, is_json in DOCUMENTS:
        found = run(page, "partial_json", "m.readPartial(a[0])", text)
        assert (found.get("value"), found["complete"], found["error"] is None) == (value, is_complete, is_json), text


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "tag": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "list": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2, "minItems": 2},
        "a/b ü": {"const": 1},
    },
    "required": ["name"],
    "additionalProperties": False,
}


STATES: list[Any] = [
    ('{"name": "Brit', "valid so far"),
    ('{"name": "Briton', "invalid"),
    ('{"tag": 1', "valid so far"),
    ('{"tag": 1,', "invalid"),
    ('{"tag": nul', "valid so far"),
    ('{"list": ["a", "c', "valid so far"),
    ('{"list": ["a", "c"', "invalid"),
    ('{"list": ["a"', "valid so far"),
    ('{"list": ["a"]', "invalid"),
    ('{"list": ["a", "b", "', "invalid"),
    ('{"a/b ü": 1', "valid so far"),
    ('{"a/b ü": 2,', "invalid"),
    ('{"other', "valid so far"),
    ('{"other": ', "valid so far"),
    ('{"other": 1', "invalid"),
    ('{"list": ["a", "b"]}', "invalid"),
    ('{"name": "B"}', "valid"),
]


def test_document_against_a_schema(page: Page) -> None:
    for text, state in STATES:
        script = "new m.SchemaCheck(a[0]).check(a[1], false)"
        assert run(page, "schema_check", script, SCHEMA, text)["state"] == state
        for length in range(len(text) if state == "valid" else 0):
            assert run(page, "schema_check", script, SCHEMA, text[:length])["state"] in ("empty", "valid so far")


def test_request_is_read_from_a_body_and_written_again(page: Page) -> None:
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "u"}]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "abcdefghi", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "abcdefghi", "content": "r"},
        ],
        "stream": True,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 5,
        "n": 2,
        "stop": ["x"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "prediction": {"type": "content", "content": "p"},
        "reasoning_effort": "high",
        "min_tokens": 3,
        "metadata": {"a": [1]},
    }
    prefix = {"role": "assistant", "content": "so", "prefix": True}
    for path, expected in (
        ("/v1/chat/completions", body),
        (
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "u"}, prefix], "stream": True},
        ),
        (
            "/v1/fim/completions",
            {"model": "m", "prompt": "a", "suffix": "b", "stream": True, "stop": ["c"], "min_tokens": 2},
        ),
        ("/v1/embeddings", {"model": "m", "input": ["a", "b"], "output_dimension": 8}),
    ):
        script = "m.shownRequest(m.conversationOf({ path: a[0], body: a[1] }), null).request.body"
        written = run(page, "request", script, path, expected)
        assert json.dumps(written, sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_schema_that_the_page_cannot_check(page: Page) -> None:
    for schema in ({"$ref": "#/missing"}, {"pattern": "\\_"}):
        script = "new m.SchemaCheck(a[0]).check('\"x\"', true)"
        assert run(page, "schema_check", script, schema)["state"] == "unknown"
