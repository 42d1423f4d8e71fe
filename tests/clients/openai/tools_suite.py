# pyright: basic, reportMissingImports=false
"""Structured output, tools, reasoning, and messages sent back."""

import re
from collections.abc import Iterable
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel

from tests.clients.openai.asking import request, text_of


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


WEATHER: Any = pydantic_function_tool(Weather, name="get_weather")
NAMED = {"type": "function", "function": {"name": "get_weather"}}
WEATHER_QUESTION = [{"role": "user", "content": "What is the weather in Rome?"}]


def ask_for_calls(**fields: Any) -> dict[str, Any]:
    tools = {"messages": WEATHER_QUESTION, "tools": [WEATHER], "max_tokens": 100, "parallel_tool_calls": False}
    return request(**tools | {"seed": 1} | fields)


def written(calls: Iterable[Any]) -> list[tuple[str, str, str]]:
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


def assert_calls(choice: Any) -> None:
    assert choice.finish_reason == "tool_calls"
    assert not choice.message.content
    assert choice.message.tool_calls
    for call in choice.message.tool_calls:
        assert re.fullmatch("[a-zA-Z0-9]{9}", call.id)
        assert (call.type, call.function.name) == ("function", "get_weather")
        Weather.model_validate_json(call.function.arguments)


def test_a_model_class_is_filled_in_streamed_or_not(client: OpenAI) -> None:
    fields = ask_for_calls(tools=openai.NOT_GIVEN, parallel_tool_calls=openai.NOT_GIVEN)
    whole = client.chat.completions.parse(response_format=Weather, **fields).choices[0].message
    assert isinstance(whole.parsed, Weather)
    with client.chat.completions.stream(response_format=Weather, **fields) as stream:
        streamed = stream.get_final_completion().choices[0].message
    assert (streamed.parsed, streamed.content) == (whole.parsed, whole.content)


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_a_demanded_call_is_made_streamed_or_not(client: OpenAI, choice: Any) -> None:
    fields = ask_for_calls(tool_choice=choice)
    (made,) = client.chat.completions.create(**fields).choices
    assert_calls(made)
    with client.chat.completions.stream(**fields) as stream:
        (accumulated,) = stream.get_final_completion().choices
    assert_calls(accumulated)
    assert written(accumulated.message.tool_calls) == written(made.message.tool_calls)


def test_strings_of_a_stream_are_simply_put_together(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "What is the weather in Rome and in Paris?"}]
    fields = ask_for_calls(messages=messages, tool_choice="required", parallel_tool_calls=True, max_tokens=200)
    calls: dict[int, list[str]] = {}
    for chunk in client.chat.completions.create(stream=True, **fields):
        for call in chunk.choices[0].delta.tool_calls or []:
            pieces = calls.setdefault(call.index, ["", "", ""])
            for place, piece in enumerate((call.id, call.function.name, call.function.arguments)):
                pieces[place] += piece or ""
    whole = client.chat.completions.create(**fields).choices[0].message.tool_calls
    assert [tuple(calls[index]) for index in sorted(calls)] == written(whole)


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_without_a_demand_there_is_text_or_a_call(client: OpenAI, choice: str) -> None:
    (made,) = client.chat.completions.create(**ask_for_calls(tool_choice=choice, max_tokens=12)).choices
    assert made.message.content or (choice == "auto" and made.message.tool_calls)


def test_the_result_of_a_call_is_answered(client: OpenAI) -> None:
    message = client.chat.completions.create(**ask_for_calls(tool_choice="required")).choices[0].message
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "It is 21 degrees and sunny."}
    fields = ask_for_calls(messages=[*WEATHER_QUESTION, message, result], tool_choice="none", max_tokens=16)
    assert text_of(client.chat.completions.create(**fields)).strip()


def test_a_function_that_is_not_there_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**ask_for_calls(tool_choice={"type": "function", "function": {"name": "fly"}}))
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", "tool_choice")


def test_thinking_is_apart_from_the_text(client: OpenAI) -> None:
    fields = request(max_tokens=24, reasoning_effort="high", seed=1)
    message: Any = client.chat.completions.create(**fields).choices[0].message
    assert message.reasoning_content.strip()
    assert isinstance(message.content, str)
    deltas: Any = [chunk.choices[0].delta for chunk in client.chat.completions.create(stream=True, **fields)]
    assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == message.reasoning_content
    assert "".join(delta.content or "" for delta in deltas) == message.content


def test_functions_of_old_are_called(client: OpenAI) -> None:
    function = {"name": "get_weather", "parameters": Weather.model_json_schema()}
    asked = request(
        messages=WEATHER_QUESTION,
        functions=[function],
        function_call={"name": "get_weather"},
        max_tokens=100,
        seed=1,
    )
    (choice,) = client.chat.completions.create(**asked).choices
    assert choice.finish_reason == "function_call"
    Weather.model_validate_json(choice.message.function_call.arguments)
    deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(stream=True, **asked)]
    pieces = [delta.function_call for delta in deltas if delta.function_call]
    assert pieces[0].name == "get_weather"
    assert "".join(piece.arguments for piece in pieces) == choice.message.function_call.arguments
    result = {"role": "function", "name": "get_weather", "content": "21 degrees"}
    conversation = [*WEATHER_QUESTION, choice.message.model_dump(), result]
    assert text_of(client.chat.completions.create(**request(messages=conversation, max_tokens=4)))


@pytest.mark.parametrize("kind", ["text", "tools", "parsed", "thinking"])
@pytest.mark.parametrize("stream", [True, False])
def test_messages_may_be_sent_back_as_they_came(client: OpenAI, kind: str, stream: bool) -> None:
    asked = {
        "text": request(seed=1, max_tokens=8),
        "tools": ask_for_calls(tool_choice="required"),
        "parsed": request(seed=1, max_tokens=60, response_format=Weather),
        "thinking": request(seed=1, max_tokens=24, reasoning_effort="low"),
    }[kind]
    if stream:
        with client.chat.completions.stream(**asked) as events:
            message: Any = events.until_done().current_completion_snapshot.choices[0].message
            if kind in ("tools", "parsed"):
                message = events.get_final_completion().choices[0].message
    elif kind in ("tools", "parsed"):
        message = client.chat.completions.parse(**asked).choices[0].message
    else:
        message = client.chat.completions.create(**asked).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "21"} for call in message.tool_calls or []]
    thanks = {"role": "user", "content": "Thank you."}
    usages = [
        client.chat.completions.create(
            **request(messages=[*asked["messages"], sent, *results, thanks], max_tokens=1)
        ).usage
        for sent in (
            message,
            message.model_dump(warnings=False),
            message.model_dump(exclude_unset=True, warnings=False),
        )
    ]
    assert len({usage.prompt_tokens for usage in usages}) == 1
