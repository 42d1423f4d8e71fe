"""The client: exceptions for refusals, misbehaving servers and missing servers."""

import gzip
import json
import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ponant import Mistral, models
from tests.client.misbehaving import (
    ANSWER,
    DONE,
    Behaviour,
    event,
    head,
    misbehaving,
    respond,
    send,
    stream,
    then_silence,
)
from tests.recordings.conftest import KEY, LoggedServer
from tests.recordings.normal import normal_text
from tests.recordings.recording import Recording
from tests.serving import RunningServer

CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
NAUGHT = "00000000-0000-4000-8000-000000000000"
JSON = {"content-type": "application/json"}
ERROR = {"object": "error", "message": "It broke.", "type": "completion_failed", "param": None, "code": "3500"}
JOB: dict[str, Any] = {"model": "tiny", "hyperparameters": {}}


class Hello(BaseModel):
    """Type that an answer is parsed into."""

    to: str


Call = tuple[str, dict[str, Any]]

REFUSED: dict[str, Call] = {
    "an unknown model": ("chat.complete", CHAT | {"model": "no-such-model"}),
    "an unknown model, streamed": ("chat.stream", CHAT | {"model": "no-such-model"}),
    "a value out of range": ("chat.complete", CHAT | {"temperature": 7.0}),
    "two values out of range, streamed": ("chat.stream", CHAT | {"temperature": 7.0, "top_p": -1.0}),
    "no messages": ("chat.complete", CHAT | {"messages": []}),
    "more than the context": ("chat.complete", CHAT | {"max_tokens": 100_000}),
    "filling in": ("fim.complete", {"model": "no-such-model", "prompt": "a"}),
    "filling in, streamed": ("fim.stream", {"model": "no-such-model", "prompt": "a"}),
    "embeddings": ("embeddings.create", {"model": "tiny-embedder", "inputs": []}),
    "a model": ("models.retrieve", {"model_id": "no/such model"}),
    "deleting a base model": ("models.delete", {"model_id": "tiny"}),
    "a file": ("files.retrieve", {"file_id": NAUGHT}),
    "a file's content": ("files.download", {"file_id": NAUGHT}),
    "a file's address": ("files.get_signed_url", {"file_id": NAUGHT, "expiry": 1000}),
    "deleting a file": ("files.delete", {"file_id": NAUGHT}),
    "a page of files": ("files.list", {"page": -1}),
    "uploading": ("files.upload", {"file": {"file_name": "a.jsonl", "content": b"{"}, "purpose": "fine-tune"}),
    "a job": ("fine_tuning.jobs.get", {"job_id": NAUGHT}),
    "creating a job": ("fine_tuning.jobs.create", JOB),
    "starting a job": ("fine_tuning.jobs.start", {"job_id": NAUGHT}),
    "cancelling a job": ("fine_tuning.jobs.cancel", {"job_id": NAUGHT}),
    "a page of jobs": ("fine_tuning.jobs.list", {"page": -1}),
    "no server listens": ("models.list", {"server_url": "http://127.0.0.1:9"}),
    "an address that is none": ("models.list", {"server_url": "nowhere"}),
    "a time that is none": ("models.list", {"timeout_ms": 0}),
    "a header that cannot be sent": ("models.list", {"http_headers": {"x-trace": "a\nb"}}),
    "a message that is none": ("chat.complete", CHAT | {"messages": [{"role": "user", "content": object()}]}),
}

WITHOUT_KEY: dict[str, Call] = {
    "no key": ("models.list", {}),
    "no key, streamed": ("chat.stream", CHAT),
}
TOO_MUCH: dict[str, Call] = {
    "too large": ("chat.complete", CHAT | {"messages": [{"role": "user", "content": "x" * 10_000}]}),
    "a file that is too large": ("files.upload", {"file": {"file_name": "a.jsonl", "content": b"{}\n" * 8000}}),
    "a model that cannot be loaded": ("chat.complete", CHAT | {"model": "gone"}),
    "a model that fails": (
        "chat.complete",
        CHAT | {"model": "failing", "messages": [{"role": "user", "content": "\x01"}]},
    ),
}

WHOLE: dict[str, Behaviour] = {
    "no response": send(),
    "half a body": send(head(200, JSON | {"content-length": "500"}), b'{"id": '),
    "silence": then_silence(send()),
    "no JSON": respond(200, "{'id': 1}"),
    "JSON of another shape": respond(200, {"hello": "world"}),
    "an empty body": respond(200),
    "another content type": respond(200, "<html>", kind="text/html"),
    "no content type": send(head(200, {"connection": "close"})),
    "a stream": stream(event(), DONE),
    "no such path": respond(404, "no"),
    "another success": respond(204),
    "a 422 of another form": respond(422, {"detail": "No."}),
    "a 422 without reasons": respond(422, {"detail": []}),
    "an error page": respond(502, "<html>Bad gateway", kind="text/html"),
    "a long error page": respond(502, "x" * 3000, kind="text/html"),
    "a nested error": respond(500, {"error": {"message": "It broke.", "type": "broken"}}),
    "too many requests": respond(429, ERROR | {"type": "rate_limited"}),
    "a timeout": respond(504, ERROR | {"type": "timeout"}),
    "a full disk": respond(507, ERROR | {"type": "insufficient_storage"}),
    "broken compression": respond(200, gzip.compress(json.dumps(ANSWER).encode())[5:], content_encoding="gzip"),
}
STREAMED: dict[str, Behaviour] = {
    "a stream that ends early": stream(event()),
    "an empty stream": stream(),
    "an event that is no JSON": stream(b"data: {oops\n\n"),
    "an event of another shape": stream(event({"hello": "world"})),
    "an error": stream(event(), event(ERROR)),
    "a named error": stream(event(), b"event: error\n" + event(ERROR)),
    "silence within a stream": then_silence(stream(event())),
    "JSON": respond(200, ANSWER),
    "another content type": respond(200, "<html>", kind="text/html"),
    "a refusal": respond(400, ERROR),
}


PARSED: dict[str, Behaviour] = {"an answer that is no JSON": respond(200, ANSWER)}


def raised(action: Callable[[], Any]) -> str:
    """Run an action; return the classes and message of its exception, with status code and body of a response."""
    try:
        result = action()
        if hasattr(result, "__next__"):
            list(result)
    except Exception as error:
        public = [kind.__name__ for kind in type(error).__mro__[:-3]]
        lines = [" < ".join(public), str(error)]
        if isinstance(error, models.MistralError):
            lines += [f"status_code: {error.status_code}", f"body: {error.body[:300]}"]
        text = re.sub(r"\n +For further information visit \S+", "", "\n".join(lines))
        return normal_text(re.sub(r"x{100,}", lambda run: f"<{len(run[0])} times x>", text))
    return "nothing is raised"


def of_calls(mistral: Mistral, calls: Mapping[str, Call]) -> dict[str, str]:
    """Return the exceptions of calls."""
    told: dict[str, str] = {}
    for name, (operation, fields) in calls.items():
        call = attrgetter(operation)(mistral)
        told[f"{name}: {operation}"] = raised(lambda call=call, fields=fields: call(**fields))  # type: ignore[misc]
    return told


def of_behaviours(operation: str, fields: dict[str, Any], behaviours: Mapping[str, Behaviour]) -> dict[str, str]:
    """Return the exceptions of a call to servers with these behaviours."""
    told: dict[str, str] = {}
    for name, behaviour in behaviours.items():
        timeout_ms = 300 if name.startswith("silence") else 20_000
        with misbehaving(behaviour) as server, Mistral(server_url=server.url, timeout_ms=timeout_ms) as mistral:
            told |= of_calls(mistral, {name: (operation, fields)})
    return told


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PONANT_URL", "PONANT_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_what_a_server_refuses(tiny_server: RunningServer, guarded_server: LoggedServer, recording: Recording) -> None:
    with Mistral(server_url=tiny_server.url) as mistral:
        told = of_calls(mistral, REFUSED)
    with Mistral(server_url=guarded_server.server.url) as mistral:
        told |= of_calls(mistral, WITHOUT_KEY)
    with Mistral(server_url=guarded_server.server.url, api_key=KEY) as mistral:
        told |= of_calls(mistral, TOO_MUCH)
    recording.check("client", told)


def test_servers_that_misbehave(recording: Recording) -> None:
    told = of_behaviours("chat.complete", CHAT, WHOLE)
    told |= of_behaviours("chat.stream", CHAT, STREAMED)
    told |= of_behaviours("chat.parse", CHAT | {"response_format": Hello}, PARSED)
    recording.check("client_misbehaving", told)


def test_clients_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recording: Recording) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.gguf").write_bytes(b"This is no model.")
    closed = Mistral()
    closed.close()

    def local(*arguments: Any, **settings: Any) -> str:
        def use() -> None:
            with Mistral.local(*arguments, **settings):
                pass

        return raised(use)

    recording.check(
        "client_settings",
        {
            "an address that is none": raised(lambda: Mistral(server_url="here")),
            "a time that is none": raised(lambda: Mistral(timeout_ms=-1)),
            "a client that is closed": raised(closed.models.list),
            "a local model that there is not": local("no-such.gguf"),
            "a local model that is none": local("text.gguf"),
            "a local model of an unknown name": local("no-such-model"),
            "a setting that there is not": local(colour="blue"),
            "a setting that is none": local(parallel=0),
        },
    )
