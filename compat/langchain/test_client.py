"""LangChain's package for Mistral; its standard tests are in test_standard.py."""

import asyncio
import os
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_mistralai import ChatMistralAI, MistralAIEmbeddings
from pydantic import BaseModel

URL = f"{os.environ['PONANT_URL']}/v1"
QUESTION = "In which city is the Eiffel Tower?"
WEATHER_QUESTION = "What is the weather in Rome?"


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


@pytest.fixture(scope="module")
def model() -> ChatMistralAI:
    settings: Any = {"model": "mistral-small-latest", "api_key": "any", "base_url": URL, "timeout": 300}
    return ChatMistralAI(**settings, temperature=0, max_tokens=100)


def test_chat_is_answered(model: ChatMistralAI) -> None:
    message = model.invoke(QUESTION)
    assert message.text
    assert message.usage_metadata["output_tokens"] > 1


def test_stream_joins_to_the_answer(model: ChatMistralAI) -> None:
    pieces = [chunk.text for chunk in model.stream(QUESTION)]
    assert len(pieces) > 1
    assert "".join(pieces) == model.invoke(QUESTION).text


def test_tools_are_called_and_results_read(model: ChatMistralAI) -> None:
    message = model.bind_tools([Weather], tool_choice="any", parallel_tool_calls=False).invoke(WEATHER_QUESTION)
    (call,) = message.tool_calls
    Weather.model_validate(call["args"])
    result = ToolMessage("21 degrees", tool_call_id=call["id"], name=call["name"])
    assert isinstance(model.invoke([HumanMessage(WEATHER_QUESTION), message, result]).text, str)


def test_tools_are_called_in_a_stream(model: ChatMistralAI) -> None:
    full = AIMessageChunk("")
    for chunk in model.bind_tools([Weather], tool_choice="any", parallel_tool_calls=False).stream(WEATHER_QUESTION):
        full += chunk
    assert not full.invalid_tool_calls
    (call,) = full.tool_calls
    Weather.model_validate(call["args"])


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output_is_parsed(model: ChatMistralAI, method: Any) -> None:
    assert isinstance(model.with_structured_output(Weather, method=method).invoke(WEATHER_QUESTION), Weather)


def test_embeddings_are_made() -> None:
    embeddings = MistralAIEmbeddings(model="mistral-embed", api_key="any", endpoint=URL)
    assert [len(vector) for vector in embeddings.embed_documents(["a lighthouse", "a fox"])] == [384, 384]


def test_async_answers_come_side_by_side(model: ChatMistralAI) -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(model.ainvoke(QUESTION) for _ in range(2)))

    for message in asyncio.run(ask()):
        assert message.text
