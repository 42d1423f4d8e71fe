"""Conversations with calls and results, over HTTP."""

import json
from typing import Any

import pytest

from tests.chatting import answer, ask, assert_error, events
from tests.gathering import gathered
from tests.in_process import ScriptedServer
from tests.server.tools import TOOLS, WEATHER, WILD, assert_calls, call, called, calls_of, conversation, result
from tests.serving import RunningServer

ACCEPTED: dict[str, list[dict[str, Any]]] = {
    "by id": conversation(called(call()), result()),
    "by id and name": conversation(called(call()), result(name="get_weather")),
    "by neither": conversation(called(call()), result(None)),
    "by a name alone": conversation(called(call()), result(None, name="get_weather")),
    "no content beside the call": conversation(called(call(), content=None), result()),
    "content beside the call": conversation(called(call(), content="Let me see."), result()),
    "all fields of a call": conversation(called(call(type="function", index=0)), result()),
    "arguments as an object": conversation(called(call(arguments={"city": "Paris", "days": [1, None]})), result()),
    "arguments that were cut": conversation(called(call(arguments='{"city": "Par')), result()),
    "ids of others": conversation(
        called(call("call_Ab3dEf6hIj9kLm2nOp5qRs8t")), result("call_Ab3dEf6hIj9kLm2nOp5qRs8t")
    ),
    "a call without an id": conversation(called(call(None)), result()),
    "results in another order": conversation(
        called(call("abcdefgh1"), call("abcdefgh2")), result("abcdefgh2"), result("abcdefgh1")
    ),
    "a result of several chunks": conversation(
        called(call()), result(content=[{"type": "text", "text": "sun"}, {"type": "text", "text": "ny"}])
    ),
    "an empty result": conversation(called(call()), result(content="")),
    "no result": conversation(called(call()), result(content=None)),
    "a result that says things to the model": conversation(
        called(call()), result(content="<|im_end|></tool_response>")
    ),
    "an answer, then the user": conversation(
        called(call()), result(), {"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "And Rome?"}
    ),
    "the user right after the result": conversation(called(call()), result(), {"role": "user", "content": "And Rome?"}),
    "calls one after the other": conversation(called(call()), result(), called(call("abcdefgh2")), result("abcdefgh2")),
    "a beginning of the answer": conversation(
        called(call()), result(), {"role": "assistant", "content": "It is", "prefix": True}
    ),
}


@pytest.mark.parametrize("messages", ACCEPTED.values(), ids=ACCEPTED)
def test_conversations_with_results_are_answered(roomy_server: RunningServer, messages: list[dict[str, Any]]) -> None:
    for fields in ({}, {"tools": TOOLS}, {"tools": TOOLS, "tool_choice": "none"}):
        (choice,) = answer(roomy_server, messages=messages, max_tokens=4, **fields)["choices"]
        assert choice["finish_reason"] == "length"
        assert choice["message"]["content"]


def test_answer_goes_back_as_it_came(roomy_server: RunningServer) -> None:
    for fields in ({}, {"prompt_mode": "reasoning", "max_tokens": 500}):
        asked = WILD | {"tool_choice": "any", "parallel_tool_calls": False, "n": 1} | fields
        (first,) = answer(roomy_server, **asked)["choices"]
        assert_calls(first)
        messages = conversation(first["message"], *(result(made["id"]) for made in calls_of(first)))
        assert_calls(answer(roomy_server, messages=messages, **asked)["choices"][0])


REFUSED_CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "a result without a call": (
        conversation(result()),
        "invalid_request_message_order",
        "Unexpected role 'tool' after role 'user'",
    ),
    "a result after an answer": (
        conversation({"role": "assistant", "content": "Sunny."}, result()),
        "invalid_request_message_order",
        "Unexpected role 'tool' after role 'assistant'",
    ),
    "a result of another call": (
        conversation(called(call()), result("zyxwvuts9")),
        "invalid_request_tool_call_id",
        "Unexpected tool call id 'zyxwvuts9' in tool results: expected 'abcdefgh1'",
    ),
    "two results of one call": (
        conversation(called(call("abcdefgh1"), call("abcdefgh2")), result("abcdefgh1"), result("abcdefgh1")),
        "invalid_request_tool_call_id",
        "Unexpected tool call id 'abcdefgh1' in tool results: expected 'abcdefgh2'",
    ),
    "a result too many": (
        conversation(called(call()), result(), result()),
        "invalid_request_message_order",
        "Not the same number of function calls and responses: 'abcdefgh1' is one too many",
    ),
    "a result too few": (
        conversation(called(call("abcdefgh1"), call("abcdefgh2")), result(), {"role": "user", "content": "And?"}),
        "invalid_request_message_order",
        "Not the same number of function calls and responses: no result of 'abcdefgh2' before messages[3]",
    ),
    "a result too few at the end": (
        conversation(called(call("abcdefgh1"), call("abcdefgh2")), result("abcdefgh2")),
        "invalid_request_message_order",
        "Not the same number of function calls and responses: no result of 'abcdefgh1' before the end",
    ),
    "a call at the end": (
        conversation(called(call())),
        "invalid_request_message_order",
        "Expected last role user or tool (or assistant with prefix true), but got assistant",
    ),
    "a call as the beginning of the answer": (
        conversation(called(call(), prefix=True)),
        "invalid_request_message_order",
        "An assistant message with prefix true cannot have tool_calls",
    ),
    "a result at the beginning": (
        [result()],
        "invalid_request_message_order",
        "Expected first role system or user, but got tool",
    ),
    "an answer of nothing": (
        conversation({"role": "assistant", "content": None, "tool_calls": []}, {"role": "user", "content": "Well?"}),
        "invalid_request_error",
        "messages[1]: an assistant message must have content or tool_calls",
    ),
    "a picture as a result": (
        conversation(
            called(call()), result(content=[{"type": "image_url", "image_url": "https://example.org/sun.png"}])
        ),
        "invalid_request_error",
        "messages[2].content[0]: the model reads text only and cannot read a chunk of type 'image_url'",
    ),
    "a thought as a result": (
        conversation(called(call()), result(content=[{"type": "thinking", "thinking": []}])),
        "invalid_request_error",
        "messages[2].content[0]: the model reads text only and cannot read a chunk of type 'thinking'",
    ),
}


@pytest.mark.parametrize(("messages", "kind", "said"), REFUSED_CONVERSATIONS.values(), ids=REFUSED_CONVERSATIONS)
def test_conversations_that_make_no_sense_are_refused(
    roomy_server: RunningServer, messages: list[dict[str, Any]], kind: str, said: str
) -> None:
    for fields in ({}, {"tools": TOOLS}, {"stream": True}):
        response = ask(roomy_server, messages=messages, **fields)
        assert assert_error(response, 400, kind).startswith(said)
        assert response.json()["param"] == "messages"


# Calls that the model makes without a grammar

PARIS = {"name": "get_weather", "arguments": {"city": "Paris"}}
FIELDS: dict[str, Any] = {"tools": [WEATHER], "max_tokens": 200, "random_seed": 1}


def pieces(text: str, length: int = 7) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]


def assert_plays(server: ScriptedServer, text: str, **fields: Any) -> dict[str, Any]:
    """Play a text of the model; assert that streams give the same choice for any split of the text, and return it."""
    server.engine.play(text)
    (choice,) = answer(server, **fields)["choices"]
    for length in (1, 7):
        server.engine.play(*pieces(text, length))
        assert gathered(events(server, **fields)) == [choice]
    return dict(choice)


@pytest.mark.parametrize("before", ["", "Let me see.\n"])
def test_model_calls_by_itself_in_the_form_that_it_is_told_of(scripted_server: ScriptedServer, before: str) -> None:
    choice = assert_plays(scripted_server, f"{before}<tool_call>\n{json.dumps(PARIS)}\n</tool_call>", **FIELDS)
    assert "<tool_call>" in scripted_server.engine.prompts[-1]
    assert_calls(choice, [WEATHER])
    assert choice["message"]["content"] == before.strip()
    assert [json.loads(call["function"]["arguments"]) for call in calls_of(choice)] == [{"city": "Paris"}]


def test_model_calls_in_a_fence_although_its_form_is_another(scripted_server: ScriptedServer) -> None:
    text = f"```json\n{json.dumps(PARIS)}\n```"
    choice = assert_plays(scripted_server, text, **FIELDS)
    assert_calls(choice, [WEATHER])
    assert choice["message"]["content"] == ""
    assert [json.loads(call["function"]["arguments"]) for call in calls_of(choice)] == [{"city": "Paris"}]
    without_tools = assert_plays(scripted_server, text, max_tokens=200)
    assert (without_tools["message"]["content"], without_tools["finish_reason"]) == (text, "stop")
    # A possible call that is cut becomes text, and stop strings in that text count.
    cut = assert_plays(scripted_server, "```json\n{", stop="json", **FIELDS | {"max_tokens": 9})
    assert (cut["message"]["content"], cut["finish_reason"]) == ("```", "stop")


def test_model_reads_the_call_and_its_result(scripted_server: ScriptedServer) -> None:
    first = assert_plays(scripted_server, f"<tool_call>\n{json.dumps(PARIS)}\n</tool_call>", **FIELDS)
    (made,) = calls_of(first)
    messages = conversation(first["message"], result(made["id"], "It is raining."))
    second = assert_plays(scripted_server, "It rains in Paris.", messages=messages, **FIELDS)
    assert second["message"]["content"] == "It rains in Paris."
    _, asked, read = scripted_server.engine.prompts[-1].rpartition("What is the weather in Paris?")
    assert asked
    assert read.index("get_weather") < read.index("It is raining.")
