"""Instructor on top of Mistral's and OpenAI's clients."""

import asyncio
import os
from collections.abc import Iterable
from typing import Any, Literal

import instructor
import pytest
from mistralai.client import Mistral
from openai import OpenAI
from pydantic import BaseModel

URL = os.environ["PONANT_URL"]
MESSAGES = [{"role": "user", "content": "What is the weather in Rome?"}]
ASKING: Any = {
    "model": "mistral-small-latest",
    "messages": MESSAGES,
    "temperature": 0,
    "max_tokens": 100,
    "parallel_tool_calls": False,
}


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


def mistral(mode: instructor.Mode, **settings: Any) -> Any:
    client = Mistral(api_key="any", server_url=URL, timeout_ms=300_000)
    return instructor.from_mistral(client, mode=mode, **settings)


def openai(mode: instructor.Mode) -> Any:
    return instructor.from_openai(OpenAI(api_key="any", base_url=f"{URL}/v1", timeout=300), mode=mode)


@pytest.mark.parametrize("connect", [mistral, openai])
def test_tools_fill_in_a_model(connect: Any) -> None:
    client = connect(instructor.Mode.TOOLS)
    assert isinstance(client.create(response_model=Weather, max_retries=0, **ASKING), Weather)


def test_structured_output_of_mistrals_client_is_parsed() -> None:
    client = mistral(instructor.Mode.JSON_SCHEMA)
    assert isinstance(client.create(response_model=Weather, max_retries=0, **ASKING), Weather)


def test_structured_output_of_openais_client_is_parsed() -> None:
    client = openai(instructor.Mode.JSON_SCHEMA)
    assert isinstance(client.create(response_model=Weather, max_retries=0, **ASKING), Weather)


@pytest.mark.parametrize("connect", [mistral, openai])
def test_stream_fills_in_a_model(connect: Any) -> None:
    client = connect(instructor.Mode.TOOLS)
    partial: Iterable[Any] = client.create_partial(response_model=Weather, max_retries=0, **ASKING)
    *_, last = partial
    assert Weather.model_validate(last.model_dump())


def test_async_fills_in_a_model() -> None:
    async def ask() -> Any:
        client = mistral(instructor.Mode.TOOLS, use_async=True)
        return await client.create(response_model=Weather, max_retries=0, **ASKING)

    assert isinstance(asyncio.run(ask()), Weather)
