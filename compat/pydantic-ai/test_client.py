"""Pydantic AI with its model for Mistral."""

import asyncio
import os
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.mistral import MistralModel
from pydantic_ai.providers.mistral import MistralProvider

QUESTION = "In which city is the Eiffel Tower?"
WEATHER_QUESTION = "What is the weather in Rome?"


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


def agent(**settings: Any) -> Agent[Any, Any]:
    provider = MistralProvider(api_key="any", base_url=os.environ["PONANT_URL"])
    model = MistralModel("mistral-small-latest", provider=provider)
    return Agent(model, model_settings={"temperature": 0, "max_tokens": 100, "timeout": 300}, **settings)


def test_chat_is_answered() -> None:
    result = agent(instructions="Be brief.").run_sync(QUESTION)
    assert "Paris" in result.output
    assert result.usage.output_tokens > 1


def test_stream_joins_to_the_answer() -> None:
    async def follow() -> list[str]:
        async with agent().run_stream(QUESTION) as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    pieces = asyncio.run(follow())
    assert len(pieces) > 1
    assert "".join(pieces) == agent().run_sync(QUESTION).output


def test_tools_are_called_and_results_read() -> None:
    asked: list[Weather] = []

    def get_weather(weather: Weather) -> str:
        """The weather in a city."""
        asked.append(weather)
        return "21 degrees"

    result = agent(tools=[get_weather], output_type=ToolOutput(Weather)).run_sync(WEATHER_QUESTION)
    assert isinstance(result.output, Weather)


def test_tools_are_called_in_a_stream() -> None:
    async def follow() -> Any:
        async with agent(output_type=ToolOutput(Weather)).run_stream(WEATHER_QUESTION) as result:
            return await result.get_output()

    assert isinstance(asyncio.run(follow()), Weather)


@pytest.mark.parametrize("kind", [ToolOutput, NativeOutput])
def test_structured_output_is_parsed(kind: Any) -> None:
    assert isinstance(agent(output_type=kind(Weather)).run_sync(WEATHER_QUESTION).output, Weather)


def test_async_answers_come_side_by_side() -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(agent().run(QUESTION) for _ in range(2)))

    for result in asyncio.run(ask()):
        assert "Paris" in result.output
