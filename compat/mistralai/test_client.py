"""Mistral's client for Python, from version 1 on."""

import asyncio
import json
import os
from typing import Any, Literal

import pytest
from pydantic import BaseModel

try:
    from mistralai.client import Mistral
except ImportError:  # version 1
    from mistralai import Mistral

MESSAGES = [{"role": "user", "content": "In which city is the Eiffel Tower?"}]
SHORT: Any = {"model": "mistral-small-latest", "messages": MESSAGES, "temperature": 0, "max_tokens": 24}
TIMEOUT_MS = 300_000


class Weather(BaseModel):
    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


FUNCTION = {"name": "get_weather", "description": "The weather in a city", "parameters": Weather.model_json_schema()}
ASKING: Any = SHORT | {
    "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": "any",
    "parallel_tool_calls": False,
    "max_tokens": 100,
}


@pytest.fixture(scope="module")
def client() -> Mistral:
    return Mistral(api_key="any", server_url=os.environ["PONANT_URL"], timeout_ms=TIMEOUT_MS)


def test_chat_is_answered(client: Mistral) -> None:
    response = client.chat.complete(**SHORT)
    assert response.choices[0].message.content
    assert response.choices[0].finish_reason in ("stop", "length")
    assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens


def test_stream_joins_to_the_answer(client: Mistral) -> None:
    pieces = [event.data.choices[0].delta.content or "" for event in client.chat.stream(**SHORT)]
    assert len(pieces) > 1
    assert "".join(pieces) == client.chat.complete(**SHORT).choices[0].message.content


def test_tools_are_called_and_results_read(client: Mistral) -> None:
    choice = client.chat.complete(**ASKING).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    Weather.model_validate_json(call.function.arguments)
    result = {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": json.dumps({"degrees": 21})}
    messages = [*ASKING["messages"], choice.message, result]
    answer = client.chat.complete(**ASKING | {"messages": messages, "tool_choice": "none"}).choices[0].message
    assert isinstance(answer.content, str)


def test_tools_are_called_in_a_stream(client: Mistral) -> None:
    pieces = [call for event in client.chat.stream(**ASKING) for call in event.data.choices[0].delta.tool_calls or []]
    assert {piece.index for piece in pieces} == {0}
    assert pieces[0].function.name == "get_weather"
    Weather.model_validate_json("".join(piece.function.arguments for piece in pieces))


def test_structured_output_is_parsed(client: Mistral) -> None:
    response = client.chat.parse(response_format=Weather, **SHORT | {"max_tokens": 100})
    assert isinstance(response.choices[0].message.parsed, Weather)


def test_embeddings_are_made(client: Mistral) -> None:
    response = client.embeddings.create(model="mistral-embed", inputs=["a lighthouse", "a fox"])
    assert [len(item.embedding) for item in response.data] == [384, 384]


def test_fim_fills_in(client: Mistral) -> None:
    request: Any = {"model": "codestral-latest", "prompt": "def add(a, b):\n    return", "max_tokens": 12}
    whole = client.fim.complete(**request, suffix="\n", temperature=0).choices[0].message.content
    events = client.fim.stream(**request, suffix="\n", temperature=0)
    assert "".join(event.data.choices[0].delta.content or "" for event in events) == whole


def test_async_answers_come_side_by_side() -> None:
    async def ask() -> list[Any]:
        async with Mistral(api_key="any", server_url=os.environ["PONANT_URL"], timeout_ms=TIMEOUT_MS) as client:
            return await asyncio.gather(*(client.chat.complete_async(**SHORT) for _ in range(2)))

    for response in asyncio.run(ask()):
        assert response.choices[0].message.content
