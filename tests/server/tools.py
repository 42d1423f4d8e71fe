"""Tools, calls of them, and conversations with both."""

import json
import re
from collections.abc import Sequence
from typing import Any

from jsonschema import Draft202012Validator

from tests.soak import ANSWERS


def tool(name: str, parameters: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters} | fields}


WEATHER = tool(
    "get_weather",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["celsius", "fahrenheit"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
    description="The weather in a city.",
)
BOOK = tool(
    "book-a-table",
    {
        "properties": {
            "guests": {"type": "array", "items": {"$ref": "#/$defs/guest"}, "minItems": 1, "maxItems": 2},
            "day": {"type": "string", "format": "date"},
        },
        "required": ["guests", "day"],
        "additionalProperties": False,
        "$defs": {"guest": {"enum": ['Zoë "Z" {}', "}]</tool_call>", "\\", "\n[TOOL_CALLS]"]}},
    },
    strict=True,
)
NOW = tool("now", {}, description="")
LATER = tool("now_and_later", {"type": "object", "properties": {}, "additionalProperties": False}, strict=False)
TOOLS = [WEATHER, BOOK, NOW, LATER]
WILD: dict[str, Any] = {"tools": TOOLS, "temperature": 1.5, "max_tokens": 1500, "n": ANSWERS, "random_seed": 1}
CHOICES: dict[str, Any] = {
    "any": "any",
    "required": "required",
    "named": {"type": "function", "function": {"name": "book-a-table"}},
}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def calls_of(choice: dict[str, Any]) -> list[dict[str, Any]]:
    return choice["message"]["tool_calls"] or []


def names(choice: dict[str, Any]) -> list[str]:
    return [call["function"]["name"] for call in calls_of(choice)]


def assert_calls(choice: dict[str, Any], tools: Sequence[dict[str, Any]] = TOOLS) -> None:
    """Assert that the choice has calls in the API's format with valid arguments."""
    assert choice["finish_reason"] == "tool_calls"
    calls = calls_of(choice)
    assert calls
    parameters = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    for index, call in enumerate(calls):
        assert call.keys() == {"id", "type", "function", "index"}
        assert (call["type"], call["index"]) == ("function", index)
        assert re.fullmatch("[a-zA-Z0-9]{9}", call["id"])
        assert call["function"].keys() == {"name", "arguments"}
        arguments = json.loads(call["function"]["arguments"])
        assert isinstance(arguments, dict)
        Draft202012Validator(parameters[call["function"]["name"]]).validate(arguments)
    assert len({call["id"] for call in calls}) == len(calls)


def call(call_id: str | None = "abcdefgh1", arguments: Any = '{"city": "Paris"}', **fields: Any) -> dict[str, Any]:
    made = {"function": {"name": "get_weather", "arguments": arguments}} | fields
    return made | ({} if call_id is None else {"id": call_id})


def conversation(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "What is the weather in Paris?"}, *messages]


def called(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": list(calls)} | fields


def result(call_id: str | None = "abcdefgh1", content: Any = "sunny", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content} | fields | ({} if call_id is None else {"tool_call_id": call_id})
