"""Callers: who sends a request goes from its key to the services."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from ponant.callers import ANYONE, Caller, caller_with
from ponant.completion.chat import ChatService
from ponant.completion.fim import FimService
from ponant.completion.generation import CompletionStarter
from ponant.completion.text import TextService
from ponant.embedding.service import EmbeddingService
from ponant.errors import InvalidRequestError
from ponant.fine_tuning.registry import ModelRegistry
from ponant.fine_tuning.service import JobService
from ponant.storage.files import FileStore
from tests.chatting import CHAT
from tests.server.scripted import ScriptedEngine, scripted_client

ID = "00000000-0000-4000-8000-000000000000"
FORM: dict[str, Any] = {"files": {"file": ("a.txt", b"text")}, "data": {"purpose": "batch"}}
JOB = {"json": {"model": "m", "hyperparameters": {}}}
SAY = {"json": {"messages": [{"role": "user", "content": "Hello"}]}}
FIM = {"json": {"prompt": "Hello"}}
EMBED = {"json": {"model": "m", "input": "Hello"}}

ENTRIES: dict[str, tuple[type, str, str, dict[str, Any]]] = {
    "chat": (ChatService, "start", f"POST {CHAT}", SAY),
    "fill-in-the-middle": (FimService, "start", "POST /v1/fim/completions", FIM),
    "texts": (TextService, "start", "POST /v1/completions", FIM),
    "embeddings": (EmbeddingService, "embed", "POST /v1/embeddings", EMBED),
    "upload": (FileStore, "add", "POST /v1/files", FORM),
    "files": (FileStore, "page", "GET /v1/files", {}),
    "a file": (FileStore, "find", f"GET /v1/files/{ID}", {}),
    "a file's content": (FileStore, "find", f"GET /v1/files/{ID}/content", {}),
    "a file's address": (FileStore, "find", f"GET /v1/files/{ID}/url", {}),
    "deletion of a file": (FileStore, "delete", f"DELETE /v1/files/{ID}", {}),
    "jobs": (JobService, "page", "GET /v1/fine_tuning/jobs", {}),
    "a new job": (JobService, "create", "POST /v1/fine_tuning/jobs", JOB),
    "a dry run": (JobService, "dry_run", "POST /v1/fine_tuning/jobs", JOB | {"params": {"dry_run": True}}),
    "a job": (JobService, "find", f"GET /v1/fine_tuning/jobs/{ID}", {}),
    "start of a job": (JobService, "start", f"POST /v1/fine_tuning/jobs/{ID}/start", {}),
    "cancellation of a job": (JobService, "cancel", f"POST /v1/fine_tuning/jobs/{ID}/cancel", {}),
    "change of a model": (ModelRegistry, "change", "PATCH /v1/fine_tuning/models/m", {"json": {"name": "a"}}),
    "archive": (ModelRegistry, "change", "POST /v1/fine_tuning/models/m/archive", {}),
    "unarchive": (ModelRegistry, "change", "DELETE /v1/fine_tuning/models/m/archive", {}),
}


async def callers(
    entry: tuple[type, str, str, dict[str, Any]], keys: list[str], given: list[str | None], weights: Path, data: Path
) -> list[Caller]:
    """The callers that a service gets for requests with these keys."""
    service, name, line, fields = entry
    method, path = line.split()
    seen: list[Caller] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, name, _recording(getattr(service, name), seen))
        async with scripted_client(ScriptedEngine([]), weights, data, api_keys=keys) as client:
            for key in given:
                headers = {"authorization": f"Bearer {key}"} if key else {}
                response = await client.request(method, path, headers=headers, **fields)
                assert response.status_code == 400, response.text
    return seen


def _recording(method: Any, seen: list[Caller]) -> Any:
    """A method that takes what the given one takes, keeps the caller, and refuses."""
    signature = inspect.signature(method)

    async def recording(*arguments: Any, **named: Any) -> None:
        seen.append(signature.bind(*arguments, **named).arguments["caller"])
        raise InvalidRequestError("seen")

    return recording


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_services_get_the_caller(
    entry: tuple[type, str, str, dict[str, Any]], tiny_model: Path, tmp_path: Path
) -> None:
    keys = ["first key", "second key"]
    first, second, again = asyncio.run(callers(entry, keys, [*keys, keys[0]], tiny_model, tmp_path))
    assert first == again != second
    assert ANYONE not in (first, second)
    assert asyncio.run(callers(entry, [], [None, "a key that nobody asked for"], tiny_model, tmp_path)) == [
        ANYONE,
        ANYONE,
    ]


@pytest.mark.parametrize("name", ["chat", "fill-in-the-middle", "texts"])
def test_caller_reaches_the_completion(name: str, tiny_model: Path, tmp_path: Path) -> None:
    seen: list[Caller] = []

    async def start(self: CompletionStarter, spec: Any) -> None:
        seen.append(spec.caller)
        raise InvalidRequestError("seen")

    async def ask() -> None:
        _, _, line, fields = ENTRIES[name]
        async with scripted_client(ScriptedEngine([]), tiny_model, tmp_path, api_keys=["key"]) as client:
            await client.post(line.split()[1], headers={"authorization": "Bearer key"}, **fields)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompletionStarter, "start", start)
        asyncio.run(ask())
    assert seen == [caller_with("key")]


def test_caller_does_not_have_the_key() -> None:
    caller = caller_with("a secret key")
    assert "secret" not in repr(caller)
    assert caller == caller_with("a secret key") != caller_with("a secret key ")
