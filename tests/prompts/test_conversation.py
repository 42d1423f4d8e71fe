"""The rules for messages, each with what it says when it is broken, and the plain form of what obeys them."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from ponant.api.messages import Message
from ponant.prompts.conversation import (
    Conversation,
    Turn,
    read_conversation,
    without_later_system,
    without_system,
    without_tools,
)
from ponant.prompts.errors import InvalidRequestError

ORDER = "invalid_request_message_order"
TOOL_ID = "invalid_request_tool_call_id"
OTHER = "invalid_request_error"

_messages: TypeAdapter[list[Message]] = TypeAdapter(list[Message])


def system(content: Any = "S") -> dict[str, Any]:
    return {"role": "system", "content": content}


def user(content: Any = "U") -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = "A", **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def tool(content: Any = "T", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **fields}


def call(name: str = "f", arguments: Any = "{}", tool_id: str = "abcDEF123") -> dict[str, Any]:
    return {"id": tool_id, "function": {"name": name, "arguments": arguments}}


def read(*messages: dict[str, Any], mistral_tool_ids: bool = False) -> Conversation:
    return read_conversation(_messages.validate_python(list(messages)), mistral_tool_ids=mistral_tool_ids)


def plain(turns: list[Turn]) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in turns]


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


@pytest.mark.parametrize(
    ("messages", "kind", "message"),
    [
        ([assistant()], ORDER, "Expected first role system or user, but got assistant"),
        ([assistant(prefix=True)], ORDER, "Expected first role system or user, but got assistant"),
        ([tool(), user()], ORDER, "Expected first role system or user, but got tool"),
        (
            [user(), assistant()],
            ORDER,
            "Expected last role user or tool (or assistant with prefix true), but got assistant",
        ),
        ([system()], ORDER, "Expected last role user or tool (or assistant with prefix true), but got system"),
        ([user(), system()], ORDER, "Expected last role user or tool (or assistant with prefix true), but got system"),
        ([user(), assistant(prefix=True), user()], ORDER, "messages[1]: only the last message can have prefix true"),
        (
            [user(), assistant(prefix=True), assistant(prefix=True)],
            ORDER,
            "messages[1]: only the last message can have prefix true",
        ),
        (
            [user(), assistant("A", prefix=True, tool_calls=[call()])],
            ORDER,
            "An assistant message with prefix true cannot have tool_calls",
        ),
        (
            [user(), assistant(None), user()],
            OTHER,
            "messages[1]: an assistant message must have content or tool_calls",
        ),
        (
            [user(), assistant(None, tool_calls=[]), user()],
            OTHER,
            "messages[1]: an assistant message must have content or tool_calls",
        ),
        (
            [system(), user([text("a"), {"type": "image_url", "image_url": "data:image/png;base64,AA"}])],
            OTHER,
            "messages[1].content[1]: the model reads text only and cannot read a chunk of type 'image_url'",
        ),
        (
            [user([{"type": "input_audio", "input_audio": "AA"}])],
            OTHER,
            "messages[0].content[0]: the model reads text only and cannot read a chunk of type 'input_audio'",
        ),
        (
            [user(), assistant([{"type": "thinking", "thinking": [text("hm")]}]), user()],
            OTHER,
            "messages[1].content[0]: the model reads text only and cannot read a chunk of type 'thinking'",
        ),
        (
            [user(), assistant(None, tool_calls=[call(tool_id="call_1")]), tool(tool_call_id="call_1")],
            TOOL_ID,
            "Tool call id was 'call_1' but must be a-z, A-Z, 0-9, with a length of 9",
        ),
        (
            [user(), assistant(None, tool_calls=[call()]), tool(tool_call_id="abcDEF1234")],
            TOOL_ID,
            "Tool call id was 'abcDEF1234' but must be a-z, A-Z, 0-9, with a length of 9",
        ),
        (
            [user(), tool(tool_call_id="abcDEF12\n")],
            TOOL_ID,
            "Tool call id was 'abcDEF12\\n' but must be a-z, A-Z, 0-9, with a length of 9",
        ),
    ],
)
def test_broken_rule_is_named(messages: list[dict[str, Any]], kind: str, message: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read(*messages, mistral_tool_ids=True)
    assert (str(refused.value), refused.value.kind) == (message, kind)


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([user()], [("user", "U")]),
        ([user(None)], [("user", "")]),
        ([user([])], [("user", "")]),
        ([user([text("a"), text("b")])], [("user", "ab")]),
        ([system([text("a")]), user()], [("system", "a"), ("user", "U")]),
        ([system(), system("more"), user()], [("system", "S\n\nmore"), ("user", "U")]),
        ([user(), user("more")], [("user", "U\n\nmore")]),
        ([user(), user(""), user("more")], [("user", "U\n\nmore")]),
        ([user(), assistant(), assistant("more"), user()], [("user", "U"), ("assistant", "A\n\nmore"), ("user", "U")]),
        ([user(), system(), user()], [("user", "U"), ("system", "S"), ("user", "U")]),
        ([system(), assistant(), user()], [("system", "S"), ("assistant", "A"), ("user", "U")]),
        ([user(), tool(), tool("more")], [("user", "U"), ("tool", "T"), ("tool", "more")]),
    ],
)
def test_neighbours_of_the_same_role_are_joined(messages: list[dict[str, Any]], turns: list[tuple[str, str]]) -> None:
    assert plain(read(*messages).turns) == turns


@pytest.mark.parametrize("content", ["Once", [text("On"), text("ce")]])
def test_prefix_is_kept_apart(content: Any) -> None:
    conversation = read(user(), assistant(), user(), assistant(content, prefix=True))
    assert conversation.prefix == "Once"
    assert plain(conversation.turns) == [("user", "U"), ("assistant", "A"), ("user", "U")]


def test_prefix_after_an_answer_is_not_joined_with_it() -> None:
    conversation = read(user(), assistant(), assistant("B", prefix=True))
    assert (plain(conversation.turns), conversation.prefix) == ([("user", "U"), ("assistant", "A")], "B")


def test_tool_ids_are_checked_for_mistral_tokenizers_alone() -> None:
    messages = [user(), assistant(None, tool_calls=[call(tool_id="call_1")]), tool(tool_call_id="call_1")]
    assert read(*messages).turns[1].tool_calls[0].id == "call_1"


def test_tool_calls_without_id_pass() -> None:
    unnamed = {"function": {"name": "f", "arguments": {}}}
    assert read(user(), assistant(None, tool_calls=[unnamed]), tool(), mistral_tool_ids=True).turns[2].role == "tool"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"a": [1]}, {"a": [1]}),
        ('{"a": [1]}', {"a": [1]}),
        ('{"a": "\\u003c"}', {"a": "<"}),
        ("", ""),
        ("{", "{"),
        ("[1]", "[1]"),
        ('"text"', '"text"'),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_arguments_become_an_object_where_they_are_one(arguments: Any, expected: Any) -> None:
    turns = read(user(), assistant(None, tool_calls=[call(arguments=arguments)]), tool()).turns
    assert turns[1].tool_calls[0].function.arguments == expected


def test_reading_leaves_the_messages_as_they_are() -> None:
    messages = _messages.validate_python([user(), assistant("A", tool_calls=[call()]), assistant("B"), tool()])
    before = [message.model_dump() for message in messages]
    read_conversation(messages, mistral_tool_ids=False)
    assert [message.model_dump() for message in messages] == before


SYSTEM, USER, ANSWER = Turn("system", "S"), Turn("user", "U"), Turn("assistant", "A")


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([USER], [("user", "U")]),
        ([SYSTEM, USER], [("system", "S"), ("user", "U")]),
        ([USER, SYSTEM, USER], [("system", "S"), ("user", "U\n\nU")]),
        (
            [SYSTEM, USER, ANSWER, SYSTEM, USER],
            [("system", "S\n\nS"), ("user", "U"), ("assistant", "A"), ("user", "U")],
        ),
    ],
)
def test_later_system_texts_move_to_the_head(turns: list[Turn], expected: list[tuple[str, str]]) -> None:
    assert plain(without_later_system(turns)) == expected


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([USER], [("user", "U")]),
        ([SYSTEM], [("user", "S")]),
        ([SYSTEM, USER], [("user", "S\n\nU")]),
        ([SYSTEM, ANSWER, USER], [("user", "S"), ("assistant", "A"), ("user", "U")]),
        ([USER, ANSWER, SYSTEM, USER], [("user", "S\n\nU"), ("assistant", "A"), ("user", "U")]),
    ],
)
def test_system_texts_move_to_the_first_user_turn(turns: list[Turn], expected: list[tuple[str, str]]) -> None:
    assert plain(without_system(turns)) == expected


def test_tool_calls_and_results_become_text() -> None:
    calls = [call("look", '{"for": "é"}'), call("raw", "not json")]
    turns = read(
        user(), assistant("Wait.", tool_calls=calls), tool("found"), tool("nothing"), assistant("B"), user()
    ).turns
    said, look, raw = without_tools(turns)[1].text.split("\n")
    assert said == "Wait."
    assert json.loads(look) == {"name": "look", "arguments": {"for": "é"}}
    assert "é" in look
    assert json.loads(raw) == {"name": "raw", "arguments": "not json"}
    assert plain(without_tools(turns))[2:] == [("user", "found\n\nnothing"), ("assistant", "B"), ("user", "U")]
    assert not any(turn.tool_calls for turn in without_tools(turns))
