"""Conversations with calls and results, over HTTP."""

import json
from typing import Any

import pytest

from tests.chatting import answer, ask, assert_error, events, texts
from tests.gathering import gathered
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


# The bundled model


def weather_of(city: str, said: str, number: int) -> list[dict[str, Any]]:
    """A question, and how a model answers it that calls functions."""
    call_id = f"abcdefgh{number}"
    return [
        {"role": "user", "content": f"What is the weather in {city}?"},
        called(call(call_id, {"city": city})),
        result(call_id, said),
        {"role": "assistant", "content": f"It is {said} in {city}."},
    ]


EXAMPLES = [
    message
    for number, (city, said) in enumerate([("Rome", "sunny"), ("Berlin", "rainy"), ("Madrid", "hot")])
    for message in weather_of(city, said, number)
]


def test_bundled_model_calls_by_itself_once_it_has_seen_how(bundled_server: RunningServer) -> None:
    for city in ("Paris", "London", "Vienna"):
        messages = [*EXAMPLES, {"role": "user", "content": f"What is the weather in {city}?"}]
        fields: dict[str, Any] = {"messages": messages, "tools": [WEATHER], "temperature": 0, "random_seed": 1}
        (choice,) = answer(bundled_server, max_tokens=60, **fields)["choices"]
        if calls_of(choice):
            assert_calls(choice, [WEATHER])
            assert gathered(events(bundled_server, max_tokens=60, **fields)) == [choice]
            return
    pytest.fail("there was no call")


def test_bundled_model_calls_in_a_fence_once_it_has_seen_how(bundled_server: RunningServer) -> None:
    """Also where its form is another: it is told of tags."""
    messages: list[dict[str, Any]] = []
    for city in ("Rome", "Berlin", "Madrid"):
        call = json.dumps({"name": "get_weather", "arguments": {"city": city}})
        messages.append({"role": "user", "content": f"What is the weather in {city}?"})
        messages.append({"role": "assistant", "content": f"```json\n{call}\n```"})
    messages.append({"role": "user", "content": "What is the weather in Paris?"})
    fields: dict[str, Any] = {"messages": messages, "tools": [WEATHER], "temperature": 0, "random_seed": 1}
    (choice,) = answer(bundled_server, max_tokens=60, **fields)["choices"]
    assert_calls(choice, [WEATHER])
    assert choice["message"]["content"] == ""
    assert [json.loads(call["function"]["arguments"]) for call in calls_of(choice)] == [{"city": "Paris"}]
    assert gathered(events(bundled_server, max_tokens=60, **fields)) == [choice]
    without_tools = answer(bundled_server, messages=messages, temperature=0, max_tokens=60)
    assert texts(without_tools)[0].startswith("```json\n")
    # What was held back because it might have become a call is text once it is cut, and a stop string counts in it.
    (cut,) = answer(bundled_server, max_tokens=4, stop="json", **fields)["choices"]
    assert (cut["message"]["content"], cut["finish_reason"]) == ("```", "stop")


def test_bundled_model_uses_the_result_of_a_call(bundled_server: RunningServer) -> None:
    question = {"role": "user", "content": "What is the weather in Paris?"}
    fields = {"tools": [WEATHER], "temperature": 0, "max_tokens": 60, "parallel_tool_calls": False}
    (first,) = answer(bundled_server, messages=[question], tool_choice="any", **fields)["choices"]
    assert_calls(first, [WEATHER])
    (made,) = calls_of(first)
    assert json.loads(made["function"]["arguments"])["city"] == "Paris"
    messages = [question, first["message"], result(made["id"], "It is raining.")]
    (second,) = answer(bundled_server, messages=messages, **fields)["choices"]
    assert "rain" in second["message"]["content"]
