"""Turns rewritten for templates that cannot express all of them."""

import json

import pytest

from ponant.prompts.chat.turns import Turn, without_later_system, without_system, without_tools
from tests.prompts.chat.messages import (
    assistant,
    call,
    plain,
    read,
    system,
    text,
    thinking,
    tool,
    user,
)

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
