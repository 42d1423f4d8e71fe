"""`llm`, through its models that are compatible with OpenAI's."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import llm
import pytest

QUESTION = "In which city is the Eiffel Tower?"
WEATHER_QUESTION = "What is the weather in Rome?"
SHORT: Any = {"temperature": 0, "max_tokens": 100}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
MODELS = f"""
- model_id: ponant
  model_name: mistral-small-latest
  api_base: {os.environ["PONANT_URL"]}/v1
  supports_schema: true
  supports_tools: true
"""


@pytest.fixture(scope="module", autouse=True)
def models_file() -> None:
    (llm.user_dir() / "extra-openai-models.yaml").write_text(MODELS)


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"21 degrees in {city}"


def test_chat_is_answered() -> None:
    assert llm.get_model("ponant").prompt(QUESTION, stream=False, **SHORT).text()


def test_chat_is_answered_on_the_command_line() -> None:
    command = [str(Path(sys.executable).parent / "llm"), "-m", "ponant", "-o", "temperature", "0", QUESTION]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    assert printed.strip()


def test_stream_joins_to_the_answer() -> None:
    model = llm.get_model("ponant")
    pieces = [piece for piece in model.prompt(QUESTION, **SHORT) if piece]
    assert len(pieces) > 1
    assert "".join(pieces) == model.prompt(QUESTION, stream=False, **SHORT).text()


@pytest.mark.by_the_model("tools: it leaves the call to the model, and the bundled one makes none")
@pytest.mark.parametrize("stream", [True, False])
def test_tools_are_called_and_results_read(stream: bool) -> None:
    chain = llm.get_model("ponant").chain(WEATHER_QUESTION, tools=[get_weather], stream=stream, options=SHORT)
    answers = list(chain.responses())
    assert [call.name for call in answers[0].tool_calls()] == ["get_weather"]
    assert answers[1].text()


def test_structured_output_satisfies_its_schema() -> None:
    answer = llm.get_model("ponant").prompt(WEATHER_QUESTION, schema=SCHEMA, stream=False, **SHORT)
    assert json.loads(answer.text())["city"] in ("Paris", "Rome")


def test_async_answers_come_side_by_side() -> None:
    async def ask() -> list[str]:
        model = llm.get_async_model("ponant")
        return await asyncio.gather(*(model.prompt(QUESTION, **SHORT).text() for _ in range(2)))

    for text in asyncio.run(ask()):
        assert text
