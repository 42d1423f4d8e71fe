# pyright: basic, reportMissingImports=false
"""Requests of the official `openai` package.

The suites need only pytest and openai, and a server: PONANT_TEST_URL is its URL, PONANT_TEST_KEY its key, and
PONANT_TEST_MODEL the name of its model. No test depends on generated text.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from openai import OpenAI

URL = os.environ.get("PONANT_TEST_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("PONANT_TEST_KEY") or None

MODEL = os.environ.get("PONANT_TEST_MODEL", "smollm2")
QUESTION = [{"role": "user", "content": "Tell me a story about a lighthouse."}]


def settings(key: str | None = KEY, path: str = "/v1") -> Any:
    """Return the settings of a client; the package requires a key even if the server accepts any."""
    return {"base_url": f"{URL}{path}", "api_key": key or "any", "timeout": 120.0, "max_retries": 0}


@pytest.fixture(scope="session")
def client() -> Iterator[OpenAI]:
    with OpenAI(**settings()) as client:
        yield client


def request(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": QUESTION, "temperature": 0.0, "max_tokens": 24} | fields


def text_of(response: Any, index: int = 0) -> str:
    return response.choices[index].message.content


def joined(chunks: Iterable[Any], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def assert_adds_up(usage: Any) -> None:
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
