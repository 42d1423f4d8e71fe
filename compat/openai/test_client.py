"""OpenAI's client for Python."""

import asyncio
import json
import os
from typing import Any, Literal

import pytest
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from pydantic import BaseModel

SETTINGS: Any = {"api_key": "any", "base_url": f"{os.environ['PONANT_URL']}/v1", "timeout": 300}
MESSAGES = [{"role": "user", "content": "In which city is the Eiffel Tower?"}]
SHORT: Any = {"model": "mistral-small-latest", "messages": MESSAGES, "temperature": 0, "max_completion_tokens": 24}


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


ASKING: Any = SHORT | {
    "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
    "tools": [pydantic_function_tool(Weather, name="get_weather")],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "max_completion_tokens": 100,
}


@pytest.fixture(scope="module")
def client() -> OpenAI:
    return OpenAI(**SETTINGS)


def test_chat_is_answered(client: OpenAI) -> None:
    response = client.chat.completions.create(**SHORT)
    assert response.choices[0].message.content
    assert response.choices[0].finish_reason in ("stop", "length")


def test_stream_joins_to_the_answer(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(**SHORT, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.completion_tokens > 1
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == client.chat.completions.create(**SHORT).choices[0].message.content


def test_tools_are_called_and_results_read(client: OpenAI) -> None:
    choice = client.chat.completions.parse(**ASKING).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert isinstance(call.function.parsed_arguments, Weather)
    result = {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"degrees": 21})}
    messages = [*ASKING["messages"], choice.message, result]
    request = ASKING | {"messages": messages, "tool_choice": "none"}
    assert isinstance(client.chat.completions.create(**request).choices[0].message.content, str)


def test_tools_are_called_in_a_stream(client: OpenAI) -> None:
    with client.chat.completions.stream(**ASKING) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    Weather.model_validate_json(call.function.arguments)


def test_structured_output_is_parsed(client: OpenAI) -> None:
    request = SHORT | {"max_completion_tokens": 100, "response_format": Weather}
    assert isinstance(client.chat.completions.parse(**request).choices[0].message.parsed, Weather)


def test_embeddings_are_made(client: OpenAI) -> None:
    response = client.embeddings.create(model="mistral-embed", input=["a lighthouse", "a fox"], dimensions=64)
    assert [len(item.embedding) for item in response.data] == [64, 64]


def test_async_answers_come_side_by_side() -> None:
    async def ask() -> list[Any]:
        async with AsyncOpenAI(**SETTINGS) as client:
            return await asyncio.gather(*(client.chat.completions.create(**SHORT) for _ in range(2)))

    for response in asyncio.run(ask()):
        assert response.choices[0].message.content
