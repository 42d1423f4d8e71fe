"""Every call of a conversation has one result after it."""

from typing import Any

import pytest

from ponant.errors import InvalidRequestError
from tests.prompts.chat.messages import (
    CALLED,
    CALLS,
    ORDER,
    RESULT_IDS,
    TOOL_ID,
    assistant,
    call,
    read,
    result,
    system,
    tool,
    user,
)

NUMBER = "Not the same number of function calls and responses: "


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
