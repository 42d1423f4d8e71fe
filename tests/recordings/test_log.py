"""Output of servers: the first lines, and log lines of requests and errors."""

import re

from tests.chatting import CHAT, body
from tests.recordings.asking import Ask, answers
from tests.recordings.conftest import KEY, LoggedServer
from tests.recordings.normal import normal_text
from tests.recordings.recording import Recording
from tests.serving import wait_until

KEYED = {"authorization": f"Bearer {KEY}"}
NAUGHT = "00000000-0000-4000-8000-000000000000"

REQUESTS = {
    "health": Ask("GET /health"),
    "no key": Ask("GET /v1/models"),
    "models": Ask("GET /v1/models?provider=ponant", headers=KEYED),
    "chat": Ask(f"POST {CHAT}", body(), headers=KEYED),
    "chat, streamed": Ask(f"POST {CHAT}", body(stream=True), headers=KEYED),
    "OpenAI's dialect": Ask(f"POST /openai{CHAT}", body(), headers=KEYED),
    "without the version": Ask("POST /chat/completions", body(), headers=KEYED),
    "refused": Ask(f"POST {CHAT}", body(temperature=9), headers=KEYED),
    "an unknown model": Ask(f"POST {CHAT}", body(model="no-such-model"), headers=KEYED),
    "no such path": Ask("GET /no%20such/path"),
    "the wrong method": Ask("POST /health"),
    "too large": Ask(f"POST {CHAT}", body(text="x" * 10_000), headers=KEYED),
    "a model that cannot be loaded": Ask(f"POST {CHAT}", body(model="gone"), headers=KEYED),
}

BROKEN = {
    "readiness": Ask("GET /ready"),
    "models": Ask("GET /v1/models"),
    "chat": Ask(f"POST {CHAT}", body()),
    "chat, refused": Ask(f"POST {CHAT}", body(temperature=2)),
    "uploading": Ask("POST /v1/files", options={"files": {"file": ("a.jsonl", b"{}\n")}}),
    "files": Ask("GET /v1/files"),
    "a file": Ask(f"GET /v1/files/{NAUGHT}"),
    "deleting a file": Ask(f"DELETE /v1/files/{NAUGHT}"),
    "a file's content": Ask(f"GET /v1/files/{NAUGHT}/content"),
    "a file's address": Ask(f"GET /v1/files/{NAUGHT}/url"),
    "a signed address": Ask(f"GET /signed/files/{NAUGHT}?expires=1&signature=x"),
    "jobs": Ask("GET /v1/fine_tuning/jobs"),
    "a job": Ask(f"GET /v1/fine_tuning/jobs/{NAUGHT}"),
    "cancelling a job": Ask(f"POST /v1/fine_tuning/jobs/{NAUGHT}/cancel"),
    "OpenAI's dialect": Ask("GET /openai/v1/files"),
}

RESTARTING = {
    "readiness": Ask("GET /ready"),
    "chat": Ask(f"POST {CHAT}", body()),
    "chat, streamed": Ask(f"POST {CHAT}", body(stream=True)),
    "OpenAI's dialect": Ask(f"POST /openai{CHAT}", body()),
    "filling in": Ask("POST /v1/fim/completions", {"prompt": "a"}),
    "a text": Ask("POST /v1/completions", {"prompt": "a"}),
}


def printed(log: list[str]) -> str:
    return "\n".join(log)


def test_requests_are_logged(guarded_server: LoggedServer, recording: Recording) -> None:
    log = guarded_server.log()
    with guarded_server.server.client() as client:
        for ask in REQUESTS.values():
            ask.send(client)
    lines = log.wait_for(" INFO request ", times=len(REQUESTS))
    recording.check("log_requests", {"requests": printed(lines)})


def test_a_database_that_cannot_be_opened(broken_server: LoggedServer, recording: Recording) -> None:
    log = broken_server.log()
    with broken_server.server.client() as client:
        told = answers(client, BROKEN)
    lines = log.wait_for(" INFO request ", times=len(BROKEN))
    recording.check("broken", told)
    recording.check("log_broken", {"requests": printed(lines)})


def test_first_lines(broken_server: LoggedServer, recording: Recording) -> None:
    recording.check("printed", {"a small server": normal_text(broken_server.server.printed)})


def test_an_engine_that_dies_and_cannot_be_restarted(broken_server: LoggedServer, recording: Recording) -> None:
    log = broken_server.log()
    weights = broken_server.file.with_name("tiny.gguf")
    hidden = weights.with_suffix(".hidden")
    with broken_server.server.client() as client:
        weights.rename(hidden)
        broken_server.server.worker().kill()
        wait_until(lambda: "next start in" in client.get("/ready").text)
        told = answers(client, RESTARTING)
        hidden.rename(weights)
        wait_until(lambda: "restarting" not in client.get("/ready").text)
    lines = [line for line in log.wait_for("engine restarted") if re.search(r"engine (died|restart)", line)]
    recording.check("restarting", told)
    recording.check("log_restarting", {"an engine that dies": printed(list(dict.fromkeys(lines)))})
