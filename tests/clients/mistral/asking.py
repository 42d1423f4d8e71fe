# pyright: basic, reportMissingImports=false
"""Requests of the official `mistralai` package, in its first major version and the newest.

The suites need only pytest and mistralai, and a server: PONANT_TEST_URL is its URL, PONANT_TEST_KEY its key, and
PONANT_TEST_MODEL the name of its model. No test depends on generated text, except for the scripted model's answer.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

try:
    from mistralai.client import Mistral
    from mistralai.client.errors import HTTPValidationError, MistralError, SDKError
    from mistralai.client.models import TextChunk, ThinkChunk
except ImportError:
    from mistralai import Mistral  # pyright: ignore[reportAttributeAccessIssue]
    from mistralai.models import HTTPValidationError, MistralError, SDKError, TextChunk, ThinkChunk

__all__ = ["HTTPValidationError", "Mistral", "MistralError", "SDKError", "TextChunk", "ThinkChunk"]


URL = os.environ.get("PONANT_TEST_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("PONANT_TEST_KEY") or None

SCRIPTED = "scripted"
MODEL = os.environ.get("PONANT_TEST_MODEL", "smollm2")
ALIAS = "mistral-small-latest"
QUESTION = [{"role": "user", "content": "Tell me a story about a lighthouse."}]
MULTI_BYTE = "Voilà : 漢字 🙂👩‍🚀 é"


def connect(key: str | None = KEY) -> Mistral:
    return Mistral(api_key=key, server_url=URL, timeout_ms=120_000)


@pytest.fixture(scope="session")
def mistral() -> Iterator[Mistral]:
    with connect() as client:
        yield client


def request(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": QUESTION, "temperature": 0.0, "max_tokens": 24} | fields


def text_of(response: Any, index: int = 0) -> str:
    return response.choices[index].message.content


def complete(mistral: Mistral, **fields: Any) -> Any:
    return mistral.chat.complete(**request(**fields))


def stream(mistral: Mistral, **fields: Any) -> list[Any]:
    with mistral.chat.stream(**request(**fields)) as events:
        return [event.data for event in events]


def listed(mistral: Mistral) -> dict[str, Any]:
    cards: Any = mistral.models.list().data
    return {card.id: card for card in cards}


def retrieve(mistral: Mistral, name: str = MODEL) -> Any:
    return mistral.models.retrieve(model_id=name)


def joined(chunks: list[Any], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def finish_reasons(chunks: list[Any], index: int = 0) -> list[str]:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return [choice.finish_reason for choice in choices if choice.finish_reason]


def assert_adds_up(usage: Any) -> None:
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def assert_is_error(error: MistralError, status: int) -> dict[str, Any]:
    assert isinstance(error, SDKError)
    assert error.status_code == status
    body = json.loads(error.body)
    assert body["object"] == "error"
    assert body["message"]
    assert body["type"]
    return body
