"""LlamaIndex's package for Mistral."""

import asyncio
import os
from typing import Any, Literal

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.mistralai import MistralAI
from pydantic import BaseModel

QUESTION = "In which city is the Eiffel Tower?"
WEATHER_QUESTION = "What is the weather in Rome?"


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


def get_weather(city: Literal["Paris", "Rome"], unit: Literal["celsius", "fahrenheit"]) -> str:
    """The weather in a city."""
    return f"21 degrees {unit} in {city}"


TOOL = FunctionTool.from_defaults(get_weather)


@pytest.fixture(scope="module")
def model() -> MistralAI:
    settings: Any = {"api_key": "any", "endpoint": os.environ["PONANT_URL"], "timeout": 300}
    one_call = {"parallel_tool_calls": False}
    return MistralAI("mistral-small-latest", temperature=0, max_tokens=100, additional_kwargs=one_call, **settings)


def test_chat_is_answered(model: MistralAI) -> None:
    assert model.chat([ChatMessage(role="user", content=QUESTION)]).message.content
    assert model.complete(QUESTION).text


def test_stream_joins_to_the_answer(model: MistralAI) -> None:
    pieces = [chunk.delta for chunk in model.stream_complete(QUESTION)]
    assert len(pieces) > 1
    assert "".join(pieces) == model.complete(QUESTION).text


def test_tools_are_called_and_results_read(model: MistralAI) -> None:
    response = model.chat_with_tools([TOOL], user_msg=WEATHER_QUESTION, tool_required=True)
    (call,) = model.get_tool_calls_from_response(response)
    result = TOOL.call(**call.tool_kwargs)
    messages = [
        ChatMessage(role="user", content=WEATHER_QUESTION),
        response.message,
        ChatMessage(role="tool", content=str(result), additional_kwargs={"tool_call_id": call.tool_id}),
    ]
    assert isinstance(model.chat(messages).message.content, str)


def test_tools_are_called_in_a_stream(model: MistralAI) -> None:
    *_, response = model.stream_chat_with_tools([TOOL], user_msg=WEATHER_QUESTION, tool_required=True)
    calls = model.get_tool_calls_from_response(response)
    assert calls
    for call in calls:
        assert "21 degrees" in str(TOOL.call(**call.tool_kwargs))


@pytest.mark.by_the_model("structured output: it leaves the call to the model, and the bundled one makes none")
def test_structured_output_is_parsed(model: MistralAI) -> None:
    response = model.as_structured_llm(Weather).complete(WEATHER_QUESTION)
    assert isinstance(response.raw, Weather)


def test_fim_fills_in(model: MistralAI) -> None:
    filler = MistralAI(
        model="codestral-latest", api_key="any", endpoint=os.environ["PONANT_URL"], temperature=0, max_tokens=12
    )
    assert isinstance(filler.fill_in_middle("def add(a, b):\n    return", "\n").text, str)


def test_async_answers_come_side_by_side(model: MistralAI) -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(model.acomplete(QUESTION) for _ in range(2)))

    for response in asyncio.run(ask()):
        assert response.text
