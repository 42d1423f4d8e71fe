"""Requests before the models are loaded, and during an engine failure that lasts."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponant.server.wiring import make_app, make_catalog
from ponant.settings import read_settings
from ponant.storage.lazy import LazyStorage
from tests.in_process import EXACT as EXACT_SETTINGS
from tests.in_process import serving_in_process
from tests.serving import EXACT, RunningServer, serving

CHAT = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}


def readiness(server: RunningServer) -> tuple[int, dict[str, Any]]:
    with server.client() as client:
        response = client.get("/ready")
    return response.status_code, response.json()


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


async def test_while_models_load_the_process_is_healthy_and_requests_are_told_to_come_back(
    tiny_model: Path, tmp_path: Path
) -> None:
    settings = read_settings(None, models=[str(tiny_model)])
    app = make_app(make_catalog(settings), settings, LazyStorage(tmp_path))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/ready")).status_code == 503
        response = await client.post(CHAT, json=BODY)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert "loaded" in response.json()["message"]


def test_engine_that_cannot_restart_is_reported_and_comes_back_when_it_can(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    shutil.copy(tiny_model, model)
    with serving(str(model), **EXACT) as server:
        hidden = model.rename(tmp_path / "hidden.gguf")
        server.worker().kill()
        wait_until(lambda: "there is no file" in str(readiness(server)[1]["models"]["model"]["error"]))
        status, report = readiness(server)
        assert (status, report["status"], report["models"]["model"]["state"]) == (503, "not ready", "restarting")
        with server.client() as client:
            assert client.post(CHAT, json=BODY).status_code == 503
            assert client.get("/health").status_code == 200
        hidden.rename(model)
        wait_until(lambda: readiness(server)[0] == 200)
        with server.client() as client:
            assert client.post(CHAT, json=BODY).status_code == 200


def test_silent_streams_are_kept_alive_by_comments(tiny_model: Path) -> None:
    endless = BODY | {"max_tokens": 400, "min_tokens": 400, "n": 16, "stream": True}
    with (
        serving_in_process(tiny_model, parallel=1, keep_alive=0.01, **EXACT_SETTINGS) as server,
        server.client() as client,
        client.stream("POST", CHAT, json=endless) as running,
    ):
        lines = running.iter_lines()
        next(lines)
        with client.stream("POST", CHAT, json=BODY | {"stream": True}) as waiting:
            assert waiting.headers["content-type"].startswith("text/event-stream")
            assert next(waiting.iter_lines()) == ": keep-alive"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of what a process has loaded")
def test_who_only_chats_is_not_charged_for_files_jobs_and_embeddings(tiny_model: Path, tmp_path: Path) -> None:
    with serving(str(tiny_model), "--data-dir", str(tmp_path)) as server, server.client() as client:
        assert client.post(CHAT, json=BODY).status_code == 200
        assert client.get("/v1/models").status_code == 200
        loaded = Path(f"/proc/{server.process.pid}/maps")
        for library in ("sqlite3", "_multiarray_umath"):
            assert library not in loaded.read_text()
        assert list(tmp_path.iterdir()) == []
        assert client.get("/v1/files").json()["data"] == []
        assert client.get("/v1/fine_tuning/jobs").json()["data"] == []
        assert "sqlite3" in loaded.read_text()


def test_prompts_are_held_to_the_context_that_the_engine_has_room_for(tiny_model: Path) -> None:
    with (
        serving(str(tiny_model), "--kv-memory", "100KB", **EXACT) as server,
        server.client() as client,
    ):
        (card, *_) = client.get("/v1/models").json()["data"]
        context = card["max_context_length"]
        assert f"context {context} tokens" in server.printed
        for text in ("a " * context, "a" * 1_000_000):
            refused = client.post(CHAT, json=BODY | {"messages": [{"role": "user", "content": text}]})
            assert refused.status_code == 400
            assert f"{context} maximum context length" in refused.json()["message"]
