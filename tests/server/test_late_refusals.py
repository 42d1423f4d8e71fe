"""Engines that refuse a request late, when its first tokens are asked for, or fail under it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponant.engine.base import Delta
from ponant.errors import EngineError, EngineUnavailableError, QueueFullError
from ponant.llamacpp.vocabulary import open_vocabulary
from tests.chatting import CHAT, assert_ended_by_error, assert_error, data_of
from tests.server.scripted import Script, ScriptedEngine, scripted_client

PATHS: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Hello"}]},
    "/v1/fim/completions": {"prompt": "Hello"},
    "/v1/completions": {"prompt": "Hello"},
}
REFUSALS = [
    (QueueFullError("16 requests wait already"), 429, "rate_limited", "5"),
    (EngineUnavailableError("the engine is restarting"), 503, "unavailable", "2"),
    (EngineError("something else"), 500, "internal_server_error", None),
]


async def posted(script: Script, path: str, sent: dict[str, Any], weights: Path, data: Path) -> httpx2.Response:
    async with scripted_client(ScriptedEngine(script), weights, data) as client:
        return await client.post(path, json=sent)


@pytest.mark.parametrize(("refusal", "status", "kind", "retry"), REFUSALS, ids=[kind for _, _, kind, _ in REFUSALS])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [CHAT, "/v1/fim/completions"])
def test_late_refusal_has_its_status(
    path: str,
    stream: bool,
    refusal: Exception,
    status: int,
    kind: str,
    retry: str | None,
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    response = asyncio.run(posted([refusal], path, PATHS[path] | {"stream": stream}, tiny_model, tmp_path))
    assert_error(response, status, kind)
    assert response.headers.get("retry-after") == retry


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_late_refusal_of_text_is_openais(stream: bool, tiny_model: Path, tmp_path: Path) -> None:
    sent = {"prompt": ["One", "Two"], "stream": stream}
    response = asyncio.run(posted([QueueFullError("too many")], "/v1/completions", sent, tiny_model, tmp_path))
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("path", PATHS)
def test_answer_is_what_the_engine_gives(path: str, tiny_model: Path, tmp_path: Path) -> None:
    tokens = open_vocabulary(tiny_model).tokenize("a cat", control=False)
    script = [Delta(0, tokens[:1]), Delta(0, tokens[1:], "length")]
    engine = ScriptedEngine(script)

    async def ask() -> dict[str, Any]:
        async with scripted_client(engine, tiny_model, tmp_path) as client:
            answer: dict[str, Any] = (await client.post(path, json=PATHS[path])).json()
            return answer

    answer = asyncio.run(ask())
    (choice,) = answer["choices"]
    said = choice["text"] if "text" in choice else choice["message"]["content"]
    assert said == "a cat"
    assert choice["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == len(tokens)
    assert answer["usage"]["prompt_tokens"] == len(engine.requests[0].prompt)


def test_failure_after_the_first_tokens_is_an_event(tiny_model: Path, tmp_path: Path) -> None:
    tokens = open_vocabulary(tiny_model).tokenize("a cat", control=False)
    script: Script = [Delta(0, tokens), EngineUnavailableError("the engine died")]
    streamed = asyncio.run(posted(script, CHAT, PATHS[CHAT] | {"stream": True}, tiny_model, tmp_path))
    assert streamed.status_code == 200
    *chunks, _ = data = list(data_of(streamed))
    assert "".join(json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in chunks) == "a cat"
    assert_ended_by_error(data, "unavailable")
    whole = asyncio.run(posted(script, CHAT, PATHS[CHAT], tiny_model, tmp_path))
    assert_error(whole, 503, "unavailable")


def test_refused_request_is_cancelled(tiny_model: Path, tmp_path: Path) -> None:
    engine = ScriptedEngine([QueueFullError("too many")])

    async def ask() -> None:
        async with scripted_client(engine, tiny_model, tmp_path) as client:
            await client.post(CHAT, json=PATHS[CHAT])

    asyncio.run(ask())
    (generation,) = engine.generations
    assert generation.cancelled
