"""Mistral's first client for Python."""

import asyncio
import json
import os
from typing import Any

import pytest
from mistralai.async_client import MistralAsyncClient
from mistralai.client import MistralClient
from mistralai.models.chat_completion import ChatMessage, ResponseFormat, ResponseFormats, ToolChoice

MESSAGES = [ChatMessage(role="user", content="In which city is the Eiffel Tower?")]
SHORT: Any = {"model": "mistral-small-latest", "messages": MESSAGES, "temperature": 0, "max_tokens": 24}
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
}
ASKING: Any = SHORT | {
    "messages": [ChatMessage(role="user", content="What is the weather in Rome?")],
    "tools": [{"type": "function", "function": {"name": "get_weather", "description": "", "parameters": PARAMETERS}}],
    "tool_choice": ToolChoice.any,
    "max_tokens": 200,
}


@pytest.fixture(scope="module")
def client() -> MistralClient:
    return MistralClient(api_key="any", endpoint=os.environ["PONANT_URL"], timeout=300)


def test_chat_is_answered(client: MistralClient) -> None:
    response = client.chat(**SHORT, safe_mode=False)
    assert response.choices[0].message.content
    assert response.choices[0].finish_reason in ("stop", "length")


def test_stream_joins_to_the_answer(client: MistralClient) -> None:
    pieces = [chunk.choices[0].delta.content or "" for chunk in client.chat_stream(**SHORT)]
    assert len(pieces) > 1
    assert "".join(pieces) == client.chat(**SHORT).choices[0].message.content


def test_tools_are_called_and_results_read(client: MistralClient) -> None:
    message = client.chat(**ASKING).choices[0].message
    (call,) = message.tool_calls = message.tool_calls[:1]
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")
    result = ChatMessage(role="tool", name="get_weather", content="21 degrees", tool_call_id=call.id)
    messages = [*ASKING["messages"], message, result]
    answer = client.chat(**ASKING | {"messages": messages, "tool_choice": ToolChoice.none}).choices[0].message
    assert isinstance(answer.content, str)


def test_tools_are_called_in_a_stream(client: MistralClient) -> None:
    chunks = client.chat_stream(**ASKING)
    call, *_ = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")


def test_structured_output_is_json(client: MistralClient) -> None:
    json_object = ResponseFormat(type=ResponseFormats.json_object)
    text = client.chat(**SHORT | {"max_tokens": 200}, response_format=json_object).choices[0].message.content
    assert text.lstrip().startswith("{")


def test_embeddings_are_made(client: MistralClient) -> None:
    response = client.embeddings(model="mistral-embed", input=["a lighthouse", "a fox"])
    assert [len(item.embedding) for item in response.data] == [384, 384]


def test_fim_fills_in(client: MistralClient) -> None:
    request: Any = {"model": "codestral-latest", "prompt": "def add(a, b):\n    return", "max_tokens": 12}
    whole = client.completion(**request, suffix="\n", temperature=0).choices[0].message.content
    chunks = client.completion_stream(**request, suffix="\n", temperature=0)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole


def test_async_answers_come_side_by_side() -> None:
    async def ask() -> list[Any]:
        client = MistralAsyncClient(api_key="any", endpoint=os.environ["PONANT_URL"], timeout=300)
        try:
            return await asyncio.gather(*(client.chat(**SHORT) for _ in range(2)))
        finally:
            await client.close()

    for response in asyncio.run(ask()):
        assert response.choices[0].message.content
