# pyright: basic, reportMissingImports=false
"""What users of the official `openai` package see, as far as both APIs have the same fields.

Needs pytest and openai alone, and a server: PONANT_TEST_URL says where, PONANT_TEST_KEY with which key.
"""

import asyncio
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from pydantic import BaseModel

URL = os.environ.get("PONANT_TEST_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("PONANT_TEST_KEY") or None

MODEL = "smollm2"
QUESTION = [{"role": "user", "content": "Tell me a story about a lighthouse."}]


def settings(key: str | None = KEY) -> Any:
    """The package insists on a key, even where the server takes any."""
    return {"base_url": f"{URL}/v1", "api_key": key or "any", "timeout": 120.0, "max_retries": 0}


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with OpenAI(**settings()) as client:
        yield client


def request(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": QUESTION, "temperature": 0.0, "max_tokens": 24} | fields


def text_of(response: Any, index: int = 0) -> str:
    return response.choices[index].message.content


def joined(chunks: Iterable[Any], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def assert_adds_up(usage: Any) -> None:
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_an_answer_has_the_shape_of_the_api(client: OpenAI) -> None:
    response = client.chat.completions.create(**request())
    assert re.fullmatch("cmpl-[0-9a-f]{32}", response.id)
    assert response.object == "chat.completion"
    assert response.model == MODEL
    assert [choice.index for choice in response.choices] == [0]
    assert response.choices[0].message.role == "assistant"
    assert response.choices[0].finish_reason == "length"
    assert text_of(response).strip()
    assert response.usage.completion_tokens == 24
    assert_adds_up(response.usage)


def test_a_stream_joins_to_the_answer(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(**request(stream=True)))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices[0].finish_reason == "length"
    assert_adds_up(chunks[-1].usage)
    assert joined(chunks) == text_of(client.chat.completions.create(**request()))


def test_async_answers_and_streams_equal_the_others(client: OpenAI) -> None:
    async def ask(client: AsyncOpenAI) -> str:
        return text_of(await client.chat.completions.create(**request()))

    async def follow(client: AsyncOpenAI) -> str:
        stream = await client.chat.completions.create(**request(stream=True))
        return joined([chunk async for chunk in stream])

    async def both() -> tuple[str, str]:
        async with AsyncOpenAI(**settings()) as client:
            return await ask(client), await follow(client)

    text = text_of(client.chat.completions.create(**request()))
    assert asyncio.run(both()) == (text, text)


def test_parallel_requests_are_all_answered() -> None:
    topics = ["a lighthouse", "a fox", "the sea", "a clock"]

    async def ask_all() -> list[Any]:
        async with AsyncOpenAI(**settings()) as client:
            questions = [[{"role": "user", "content": f"Tell me about {topic}."}] for topic in topics]
            return await asyncio.gather(
                *(client.chat.completions.create(**request(messages=question)) for question in questions)
            )

    responses = asyncio.run(ask_all())
    assert len({response.id for response in responses}) == len(topics)
    assert len({text_of(response) for response in responses}) == len(topics)


def test_a_stream_may_be_left_early(client: OpenAI) -> None:
    with client.chat.completions.create(**request(stream=True, max_tokens=500)) as stream:
        next(iter(stream))
    assert text_of(client.chat.completions.create(**request())).strip()


def test_several_choices_cost_one_prompt(client: OpenAI) -> None:
    one = client.chat.completions.create(**request())
    three = client.chat.completions.create(**request(temperature=1.0, n=3))
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert_adds_up(three.usage)


def test_several_choices_are_streamed_side_by_side(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(**request(temperature=1.0, n=2, stream=True)))
    for index in range(2):
        ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert [end for end in ends if end] in (["length"], ["stop"])
        assert joined(chunks, index).strip()


@pytest.mark.parametrize("as_list", [False, True])
def test_a_stop_string_ends_the_answer_and_is_not_in_it(client: OpenAI, as_list: bool) -> None:
    whole = text_of(client.chat.completions.create(**request(max_tokens=40)))
    stop = whole[len(whole) // 2 :][:5]
    response = client.chat.completions.create(**request(max_tokens=40, stop=[stop] if as_list else stop))
    assert text_of(response) == whole[: whole.index(stop)]
    assert response.choices[0].finish_reason == "stop"


def test_penalties_and_top_p_are_taken(client: OpenAI) -> None:
    fields = request(temperature=0.7, top_p=0.9, presence_penalty=0.5, frequency_penalty=0.5)
    assert text_of(client.chat.completions.create(**fields)).strip()


def test_fields_of_the_server_travel_in_the_extra_body(client: OpenAI) -> None:
    fields = request(temperature=1.0, max_tokens=40, extra_body={"random_seed": 42})
    first = text_of(client.chat.completions.create(**fields))
    assert text_of(client.chat.completions.create(**fields)) == first


def test_a_whole_conversation_is_read(client: OpenAI) -> None:
    conversation = [
        {"role": "system", "content": "You are a helpful geographer."},
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "The capital of France is Paris."},
        {"role": "user", "content": [{"type": "text", "text": "Où coule la Seine ? 🙂"}]},
    ]
    response = client.chat.completions.create(**request(messages=conversation))
    assert text_of(response).strip()
    assert "\ufffd" not in text_of(response)


# Structured output, tools, reasoning


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


WEATHER: Any = pydantic_function_tool(Weather, name="get_weather")
NAMED = {"type": "function", "function": {"name": "get_weather"}}
WEATHER_QUESTION = [{"role": "user", "content": "What is the weather in Rome?"}]


def ask_for_calls(**fields: Any) -> dict[str, Any]:
    tools = {"messages": WEATHER_QUESTION, "tools": [WEATHER], "max_tokens": 100, "parallel_tool_calls": False}
    return request(**tools | {"extra_body": {"random_seed": 1}} | fields)


def written(calls: Iterable[Any]) -> list[tuple[str, str, str]]:
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


def assert_calls(choice: Any) -> None:
    assert choice.finish_reason == "tool_calls"
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
    fields = ask_for_calls(messages=messages, tool_choice="required", parallel_tool_calls=True, max_tokens=70)
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


def test_thinking_comes_before_the_text(client: OpenAI) -> None:
    fields = request(max_tokens=40, reasoning_effort="high", extra_body={"random_seed": 1})
    content: Any = client.chat.completions.create(**fields).choices[0].message.content
    assert [chunk["type"] for chunk in content] in (["thinking"], ["thinking", "text"])
    chunks = client.chat.completions.create(stream=True, **fields)
    pieces: Any = [piece for chunk in chunks for piece in chunk.choices[0].delta.content or []]
    thought = "".join(piece["thinking"][0]["text"] for piece in pieces if piece["type"] == "thinking")
    assert thought == content[0]["thinking"][0]["text"]


# Models and errors


def test_the_model_is_listed_and_retrieved(client: OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).object == "model"


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_refused(client: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(model="no-such-model", stream=stream))
    assert caught.value.type == "invalid_model"
    assert caught.value.code == "1500"
    assert "no-such-model" in caught.value.message


def test_a_value_out_of_range_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(**request(temperature=5.0))
    (detail,) = caught.value.response.json()["detail"]
    assert detail["loc"] == ["body", "temperature"]


def test_a_field_that_nobody_knows_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(**request(extra_body={"flavour": "vanilla"}))
    (detail,) = caught.value.response.json()["detail"]
    assert (detail["loc"], detail["type"]) == (["body", "flavour"], "extra_forbidden")


def test_more_than_the_context_holds_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**request(max_tokens=10_000_000))


@pytest.mark.skipif(KEY is None, reason="the server takes any key")
def test_a_wrong_key_is_refused() -> None:
    with OpenAI(**settings(key="wrong")) as stranger, pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(**request())
