"""Rules for messages, each with its error, and the turns of valid messages."""

from typing import Any

import pytest

from ponant.errors import InvalidRequestError
from ponant.prompts.chat.conversation import read_conversation
from tests.prompts.chat.messages import (
    CALLS,
    MESSAGES,
    ORDER,
    OTHER,
    RESULT_IDS,
    TOOL_ID,
    assistant,
    call,
    plain,
    read,
    result,
    system,
    text,
    thinking,
    tool,
    user,
)


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([assistant(), user()], [("assistant", "A"), ("user", "U")]),
        ([user(), system()], [("system", "S"), ("user", "U")]),
        ([system(), user(), system()], [("system", "S\n\nS"), ("user", "U")]),
        ([system()], [("system", "S"), ("user", "")]),
        ([user(), assistant()], [("user", "U"), ("assistant", "A"), ("user", "")]),
        ([user(), assistant(), system()], [("user", "U"), ("assistant", "A"), ("system", "S"), ("user", "")]),
        ([assistant(prefix=True)], [("user", "")]),
    ],
)
def test_conversations_in_any_order_end_with_a_question(messages: list[Any], turns: list[tuple[str, str]]) -> None:
    conversation = read_conversation(MESSAGES.validate_python(messages), mistral_tool_ids=True, any_order=True)
    assert [(turn.role, turn.text) for turn in conversation.turns] == turns


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
    messages = MESSAGES.validate_python(
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
