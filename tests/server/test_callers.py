"""Callers: routes pass the caller that a key identifies to the services."""

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ponant.callers import ANYONE, Caller, caller_with
from ponant.completion.chat import ChatService
from ponant.completion.fim import FimService
from ponant.completion.generation import CompletionStarter
from ponant.completion.spec import CompletionSpec
from ponant.completion.text import TextService
from ponant.embedding.service import EmbeddingService
from ponant.errors import InvalidRequestError
from ponant.fine_tuning.registry import ModelRegistry
from ponant.fine_tuning.service import FineTuningService
from ponant.storage.files import FileStore
from tests.chatting import CHAT
from tests.in_process import ScriptedServer, serving_scripted

ID = "00000000-0000-4000-8000-000000000000"
FORM: dict[str, Any] = {"files": {"file": ("a.txt", b"text")}, "data": {"purpose": "batch"}}
JOB = {"json": {"model": "m", "hyperparameters": {}}}
SAY = {"json": {"messages": [{"role": "user", "content": "Hello"}]}}
FIM = {"json": {"prompt": "Hello"}}
EMBED = {"json": {"model": "m", "input": "Hello"}}

Entry: TypeAlias = tuple[type, str, str, dict[str, Any]]
"""Service, its method, and a request that calls it."""

ENTRIES: dict[str, Entry] = {
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
    "jobs": (FineTuningService, "page", "GET /v1/fine_tuning/jobs", {}),
    "a new job": (FineTuningService, "create", "POST /v1/fine_tuning/jobs", JOB),
    "a dry run": (FineTuningService, "dry_run", "POST /v1/fine_tuning/jobs", JOB | {"params": {"dry_run": True}}),
    "a job": (FineTuningService, "find", f"GET /v1/fine_tuning/jobs/{ID}", {}),
    "start of a job": (FineTuningService, "start", f"POST /v1/fine_tuning/jobs/{ID}/start", {}),
    "cancellation of a job": (FineTuningService, "cancel", f"POST /v1/fine_tuning/jobs/{ID}/cancel", {}),
    "change of a model": (ModelRegistry, "change", "PATCH /v1/fine_tuning/models/m", {"json": {"name": "a"}}),
    "archive": (ModelRegistry, "change", "POST /v1/fine_tuning/models/m/archive", {}),
    "unarchive": (ModelRegistry, "change", "DELETE /v1/fine_tuning/models/m/archive", {}),
}


KEYS = ["first key", "second key"]


@pytest.fixture(scope="module")
def keyed_server(tiny_model: Path) -> Iterator[ScriptedServer]:
    with serving_scripted(tiny_model, api_keys=KEYS) as server:
        yield server


def callers(server: ScriptedServer, entry: Entry, keys: Sequence[str | None]) -> list[Caller]:
    """Return the callers that a service receives for requests with these keys."""
    service, name, line, fields = entry
    method, path = line.split()
    seen: list[Caller] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, name, _recording(getattr(service, name), seen))
        for key in keys:
            with server.client(key=key) as client:
                response = client.request(method, path, **fields)
                assert response.status_code == 400, response.text
    return seen


def _recording(method: Any, seen: list[Caller]) -> Any:
    """Return a method with the same parameters that records the caller and refuses the request."""
    signature = inspect.signature(method)

    async def recording(*arguments: Any, **named: Any) -> None:
        seen.append(signature.bind(*arguments, **named).arguments["caller"])
        raise InvalidRequestError("seen")

    return recording


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_services_get_the_caller(keyed_server: ScriptedServer, entry: Entry) -> None:
    first, second, again = callers(keyed_server, entry, [*KEYS, KEYS[0]])
    assert first == again != second
    assert ANYONE not in (first, second)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_server_without_keys_has_one_caller(scripted_server: ScriptedServer, entry: Entry) -> None:
    assert callers(scripted_server, entry, [None, "a key"]) == [ANYONE, ANYONE]


@pytest.mark.parametrize("name", ["chat", "fill-in-the-middle", "texts"])
def test_caller_reaches_the_completion(keyed_server: ScriptedServer, name: str) -> None:
    seen: list[Caller] = []

    async def start(self: CompletionStarter, spec: CompletionSpec) -> None:
        seen.append(spec.caller)
        raise InvalidRequestError("seen")

    _, _, line, fields = ENTRIES[name]
    with pytest.MonkeyPatch.context() as patch, keyed_server.client(key=KEYS[0]) as client:
        patch.setattr(CompletionStarter, "start", start)
        client.post(line.split()[1], **fields)
    assert seen == [caller_with(KEYS[0])]


def test_caller_does_not_have_the_key() -> None:
    caller = caller_with("a secret key")
    assert "secret" not in repr(caller)
    assert caller == caller_with("a secret key") != caller_with("a secret key ")
