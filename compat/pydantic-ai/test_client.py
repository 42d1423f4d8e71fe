"""Pydantic AI with its model for Mistral."""

import asyncio
import os
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_ai import Agent, ModelRequest, ToolDefinition, ToolReturnPart
from pydantic_ai.direct import model_request_stream_sync, model_request_sync
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.mistral import MistralModel
from pydantic_ai.providers.mistral import MistralProvider

QUESTION = "In which city is the Eiffel Tower?"
WEATHER_QUESTION = "What is the weather in Rome?"


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


SETTINGS: Any = {"temperature": 0, "max_tokens": 100, "timeout": 300, "parallel_tool_calls": False}
ASKING = ModelRequestParameters(
    function_tools=[ToolDefinition(name="get_weather", parameters_json_schema=Weather.model_json_schema())],
    allow_text_output=False,
)


def model() -> MistralModel:
    provider = MistralProvider(api_key="any", base_url=os.environ["PONANT_URL"])
    return MistralModel("mistral-small-latest", provider=provider)


def agent(**settings: Any) -> Agent[Any, Any]:
    return Agent(model(), model_settings=SETTINGS, **settings)


def test_chat_is_answered() -> None:
    result = agent(instructions="Be brief.").run_sync(QUESTION)
    assert result.output
    assert result.usage.output_tokens > 1


def test_stream_joins_to_the_answer() -> None:
    async def follow() -> list[str]:
        async with agent().run_stream(QUESTION) as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    pieces = asyncio.run(follow())
    assert len(pieces) > 1
    assert "".join(pieces) == agent().run_sync(QUESTION).output


def test_tools_are_called_and_results_read() -> None:
    asked = [ModelRequest.user_text_prompt(WEATHER_QUESTION)]
    answer = model_request_sync(model(), asked, model_settings=SETTINGS, model_request_parameters=ASKING)
    (call,) = answer.tool_calls
    Weather.model_validate(call.args_as_dict())
    result = ModelRequest([ToolReturnPart(call.tool_name, "21 degrees", call.tool_call_id)])
    assert model_request_sync(model(), [*asked, answer, result], model_settings=SETTINGS).usage.output_tokens


def test_tools_are_called_in_a_stream() -> None:
    asked = [ModelRequest.user_text_prompt(WEATHER_QUESTION)]
    with model_request_stream_sync(model(), asked, model_settings=SETTINGS, model_request_parameters=ASKING) as stream:
        for _ in stream:
            pass
        (call,) = stream.response.tool_calls
    Weather.model_validate(call.args_as_dict())


def test_structured_output_is_parsed() -> None:
    assert isinstance(agent(output_type=Weather).run_sync(WEATHER_QUESTION).output, Weather)


def test_async_answers_come_side_by_side() -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(agent().run(QUESTION) for _ in range(2)))

    for result in asyncio.run(ask()):
        assert result.output
