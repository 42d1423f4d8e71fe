"""The rules for messages, each with what it says when it is broken, and the plain form of what obeys them."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from ponant.api.messages import Message
from ponant.errors import InvalidRequestError
from ponant.prompts.chat.conversation import (
    Conversation,
    Turn,
    read_conversation,
    without_later_system,
    without_system,
    without_tools,
)

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


def thinking(*texts: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [text(thought) for thought in texts]}


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
            [user([text("a"), thinking("hm")])],
            OTHER,
            "messages[0].content[1]: the model reads text only and cannot read a chunk of type 'thinking'",
        ),
        (
            [user(), assistant(None, tool_calls=[call()]), tool([thinking("hm")])],
            OTHER,
            "messages[2].content[0]: the model reads text only and cannot read a chunk of type 'thinking'",
        ),
        (
            [user(), assistant([thinking("hm"), {"type": "reference", "reference_ids": [1]}]), user()],
            OTHER,
            "messages[1].content[1]: the model reads text only and cannot read a chunk of type 'reference'",
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
            [user(), assistant(None, tool_calls=[call()]), tool(tool_call_id="abcDEF12\n")],
            TOOL_ID,
            "Tool call id was 'abcDEF12\\n' but must be a-z, A-Z, 0-9, with a length of 9",
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
        (
            [user(), assistant(tool_calls=[call(), call()]), tool(), tool("more")],
            [("user", "U"), ("assistant", "A"), ("tool", "T"), ("tool", "more")],
        ),
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
    messages = _messages.validate_python(
        [
            user(),
            assistant("A"),
            assistant("B", tool_calls=[call()]),
            tool(),
            assistant([thinking("hm"), text("C")]),
            assistant("D"),
            user(),
        ]
    )
    before = [message.model_dump() for message in messages]
    read_conversation(messages, mistral_tool_ids=False)
    assert [message.model_dump() for message in messages] == before


RESULT_IDS = "abcDEF123", "abcDEF124", "abcDEF125"
CALLS = [call("f", tool_id=RESULT_IDS[0]), call("g", tool_id=RESULT_IDS[1])]
CALLED = assistant(None, tool_calls=CALLS)
NUMBER = "Not the same number of function calls and responses: "


def result(number: int, content: str = "T", **fields: Any) -> dict[str, Any]:
    """The result of the call with that number."""
    return tool(content, tool_call_id=RESULT_IDS[number], **fields)


@pytest.mark.parametrize(
    ("messages", "kind", "message"),
    [
        pytest.param(
            [user(), tool()],
            ORDER,
            "Unexpected role 'tool' after role 'user': a result must follow the call of a tool",
            id="after a user",
        ),
        pytest.param(
            [system(), tool()],
            ORDER,
            "Unexpected role 'tool' after role 'system': a result must follow the call of a tool",
            id="after a system text",
        ),
        pytest.param(
            [user(), assistant(), tool()],
            ORDER,
            "Unexpected role 'tool' after role 'assistant': a result must follow the call of a tool",
            id="after an answer",
        ),
        pytest.param(
            [user(), assistant(tool_calls=[]), tool()],
            ORDER,
            "Unexpected role 'tool' after role 'assistant': a result must follow the call of a tool",
            id="after an answer with no calls",
        ),
        pytest.param(
            [user(), CALLED, result(0), result(1), user(), result(0)],
            ORDER,
            "Unexpected role 'tool' after role 'user': a result must follow the call of a tool",
            id="a second time, later",
        ),
        pytest.param(
            [user(), CALLED, result(0), result(1), assistant(), result(1)],
            ORDER,
            "Unexpected role 'tool' after role 'assistant': a result must follow the call of a tool",
            id="a second time, after the answer",
        ),
        pytest.param(
            [user(), CALLED, result(0), result(1), result(0)],
            ORDER,
            f"{NUMBER}'abcDEF123' is one too many",
            id="a second time",
        ),
        pytest.param(
            [user(), CALLED, result(0), result(1), result(2)],
            ORDER,
            f"{NUMBER}'abcDEF125' is one too many",
            id="one too many",
        ),
        pytest.param(
            [user(), CALLED, tool(), tool(), tool()], ORDER, f"{NUMBER}None is one too many", id="one too many, no id"
        ),
        pytest.param(
            [user(), CALLED, result(0), result(0)],
            TOOL_ID,
            "Unexpected tool call id 'abcDEF123' in tool results: expected 'abcDEF124'",
            id="twice the same",
        ),
        pytest.param(
            [user(), CALLED, result(2), result(1)],
            TOOL_ID,
            "Unexpected tool call id 'abcDEF125' in tool results: expected 'abcDEF123' or 'abcDEF124'",
            id="unknown",
        ),
        pytest.param(
            [user(), CALLED, result(1), result(2)],
            TOOL_ID,
            "Unexpected tool call id 'abcDEF125' in tool results: expected 'abcDEF123'",
            id="unknown, the other one being there",
        ),
        pytest.param(
            [user(), CALLED, result(0), result(1), assistant(tool_calls=[call(tool_id=RESULT_IDS[2])]), result(0)],
            TOOL_ID,
            "Unexpected tool call id 'abcDEF123' in tool results: expected 'abcDEF125'",
            id="of an earlier call",
        ),
        pytest.param([user(), CALLED], ORDER, None, id="calls come last"),
        pytest.param(
            [user(), CALLED, user()],
            ORDER,
            f"{NUMBER}no result of 'abcDEF123', 'abcDEF124' before messages[2]",
            id="no result before a user",
        ),
        pytest.param(
            [user(), CALLED, result(1), user()],
            ORDER,
            f"{NUMBER}no result of 'abcDEF123' before messages[3]",
            id="one missing before a user",
        ),
        pytest.param(
            [user(), CALLED, result(0)],
            ORDER,
            f"{NUMBER}no result of 'abcDEF124' before the end",
            id="one missing at the end",
        ),
        pytest.param(
            [user(), CALLED, assistant(), result(0), result(1)],
            ORDER,
            f"{NUMBER}no result of 'abcDEF123', 'abcDEF124' before messages[2]",
            id="an answer between",
        ),
        pytest.param(
            [user(), CALLED, result(0), system(), result(1)],
            ORDER,
            f"{NUMBER}no result of 'abcDEF124' before messages[3]",
            id="a system text between",
        ),
        pytest.param(
            [user(), CALLED, result(0), assistant(prefix=True)],
            ORDER,
            f"{NUMBER}no result of 'abcDEF124' before messages[3]",
            id="one missing before a prefix",
        ),
        pytest.param(
            [user(), CALLED, CALLED, result(0), result(1)],
            ORDER,
            f"{NUMBER}no result of 'abcDEF123', 'abcDEF124' before messages[2]",
            id="more calls before the results",
        ),
    ],
)
@pytest.mark.parametrize("mistral_tool_ids", [True, False])
def test_every_call_needs_its_result(
    messages: list[dict[str, Any]], kind: str, message: str | None, mistral_tool_ids: bool
) -> None:
    if message is None:
        message = "Expected last role user or tool (or assistant with prefix true), but got assistant"
    with pytest.raises(InvalidRequestError) as refused:
        read(*messages, mistral_tool_ids=mistral_tool_ids)
    assert (str(refused.value), refused.value.kind) == (message, kind)


@pytest.mark.parametrize(
    "messages",
    [[user(), tool()], [user(), CALLED, result(0)], [user(), CALLED, result(2)], [user(), CALLED, user()]],
)
def test_refused_results_name_the_messages(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read(*messages)
    assert refused.value.param == "messages"


@pytest.mark.parametrize(
    ("messages", "names"),
    [
        pytest.param([CALLED, result(0), result(1)], ["f", "g"], id="in order"),
        pytest.param([CALLED, result(1), result(0)], ["g", "f"], id="turned"),
        pytest.param([CALLED, tool(), tool()], ["f", "g"], id="without ids"),
        pytest.param([CALLED, result(1), tool()], ["g", "f"], id="one with and one without"),
        pytest.param([CALLED, result(0, name="other"), result(1, name="")], ["other", "g"], id="with names"),
        pytest.param(
            [assistant(tool_calls=[call("f", tool_id="null"), call("g", tool_id="null")]), tool(), tool()],
            ["f", "g"],
            id="calls and results without ids",
        ),
        pytest.param(
            [
                assistant(tool_calls=[call("f", tool_id="null"), call("g", tool_id="null")]),
                tool(tool_call_id="abcdefgh1"),
                tool(tool_call_id="abcdefgh2"),
            ],
            ["f", "g"],
            id="calls without ids, results with some",
        ),
        pytest.param(
            [assistant(tool_calls=[call("f", tool_id="null"), CALLS[1]]), result(1), tool(tool_call_id="abcdefgh1")],
            ["g", "f"],
            id="one call without an id",
        ),
        pytest.param(
            [assistant(tool_calls=[call("f"), call("g")]), tool(tool_call_id="abcDEF123"), tool()],
            ["f", "g"],
            id="two calls with one id",
        ),
        pytest.param(
            [CALLED, result(1), result(0), CALLED, result(0), result(1), user()], ["g", "f", "f", "g"], id="two rounds"
        ),
        pytest.param([CALLED, result(0), result(1), assistant(prefix=True)], ["f", "g"], id="before a prefix"),
        pytest.param([CALLED, result(0), result(1), system(), user()], ["f", "g"], id="before a system text"),
    ],
)
@pytest.mark.parametrize("mistral_tool_ids", [True, False])
def test_results_have_the_names_of_their_functions(
    messages: list[dict[str, Any]], names: list[str], mistral_tool_ids: bool
) -> None:
    turns = read(user(), *messages, mistral_tool_ids=mistral_tool_ids).turns
    assert [turn.name for turn in turns if turn.role == "tool"] == names


@pytest.mark.parametrize("mistral_tool_ids", [True, False])
def test_results_of_calls_without_ids_may_have_the_id_null(mistral_tool_ids: bool) -> None:
    calls = [call("f", tool_id="null"), call("g", tool_id="null")]
    results = [tool(tool_call_id="null"), tool(tool_call_id="null")]
    turns = read(user(), assistant(tool_calls=calls), *results, mistral_tool_ids=mistral_tool_ids).turns
    assert [turn.name for turn in turns if turn.role == "tool"] == ["f", "g"]


def test_neighbours_are_joined_with_their_calls_and_thinking() -> None:
    messages = [
        user(),
        assistant([thinking("so "), text("A"), thinking("hm")]),
        assistant([thinking("then"), text("B")], tool_calls=CALLS),
        result(0),
        result(1),
    ]
    joined = read(*messages).turns[1]
    assert (joined.text, [call.id for call in joined.tool_calls]) == ("A\n\nB", list(RESULT_IDS[:2]))
    assert "so hm" in joined.thinking
    assert "then" in joined.thinking


@pytest.mark.parametrize(
    ("message", "said", "thought"),
    [
        (assistant([thinking("a", "b"), text("A")]), "A", "ab"),
        (assistant([thinking("a"), text("A"), thinking("b"), text("B")]), "AB", "ab"),
        (assistant([thinking("a")]), "", "a"),
        (assistant([thinking()]), "", ""),
        (assistant([{"type": "thinking", "thinking": [text("a")], "closed": False}, text("A")]), "A", "a"),
        (
            assistant([{"type": "thinking", "thinking": [text("a"), {"type": "reference", "reference_ids": [1]}]}]),
            "",
            "a",
        ),
        (assistant([text("A")]), "A", ""),
        (assistant("A"), "A", ""),
    ],
)
def test_thinking_is_kept_apart_from_the_answer(message: dict[str, Any], said: str, thought: str) -> None:
    turn = read(user(), message, user()).turns[1]
    assert (turn.role, turn.text, turn.thinking) == ("assistant", said, thought)


def test_thinking_of_a_system_text_is_part_of_it() -> None:
    turn = read(system([thinking("Think "), text("first.")]), user()).turns[0]
    assert (turn.text, turn.thinking) == ("Think first.", "")


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
    said, begin, look, end, *second = without_tools(turns)[1].text.split("\n")
    assert (said, begin, end, second[0], second[2:]) == (
        "Wait.",
        "<tool_call>",
        "</tool_call>",
        "<tool_call>",
        ["</tool_call>"],
    )
    assert json.loads(look) == {"name": "look", "arguments": {"for": "é"}}
    assert "é" in look
    assert json.loads(second[1]) == {"name": "raw", "arguments": "not json"}
    results = "<tool_response>\nfound\n</tool_response>\n\n<tool_response>\nnothing\n</tool_response>"
    assert plain(without_tools(turns))[2:] == [("user", results), ("assistant", "B"), ("user", "U")]
    assert not any(turn.tool_calls for turn in without_tools(turns))


def test_calls_without_text_are_the_whole_turn() -> None:
    turns = without_tools(read(user(), assistant(None, tool_calls=[call(arguments={})]), tool(""), user()).turns)
    assert plain(turns) == [
        ("user", "U"),
        ("assistant", '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'),
        ("user", "<tool_response>\n\n</tool_response>\n\nU"),
    ]


def test_thinking_stays_with_calls_that_become_text() -> None:
    turns = read(user(), assistant([thinking("hm")], tool_calls=[call()]), tool(), assistant("B"), user()).turns
    assert [turn.thinking for turn in without_tools(turns)] == ["", "hm", "", "", ""]


def test_conversation_without_tools_stays_as_it_is() -> None:
    turns = read(system(), user(), assistant([thinking("hm"), text("A")]), user()).turns
    assert without_tools(turns) == turns
