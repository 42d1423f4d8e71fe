"""Server with a key and limits: access, sizes, timeouts and failed computations."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.chatting import CHAT, ENDLESS, body
from tests.recordings.asking import Ask, answers, exchange
from tests.recordings.conftest import HOPELESS, HOPELESS_WORD, KEY, LoggedServer
from tests.recordings.recording import Recording

FIM, TEXT, EMBEDDINGS, FILES = "/v1/fim/completions", "/v1/completions", "/v1/embeddings", "/v1/files"
ORIGIN = {"origin": "https://app.example.org"}
OTHER_ORIGIN = {"origin": "https://other.example.org"}
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
NAUGHT = "00000000-0000-4000-8000-000000000000"
OPEN = {"authorization": f"Bearer {KEY}"}

UNAUTHORIZED = {
    "no key": Ask("GET /v1/models"),
    "a wrong key": Ask("GET /v1/models", headers={"authorization": "Bearer wrong"}),
    "another scheme": Ask("GET /v1/models", headers={"authorization": f"Basic {KEY}"}),
    "OpenAI's dialect": Ask("GET /openai/v1/models"),
    "NIM's dialect": Ask("GET /nim/v1/models"),
    "no such path": Ask("GET /v1/no/such/path"),
    "without the version": Ask("POST /chat/completions", body()),
    "a page of an allowed origin": Ask("GET /v1/models", headers=ORIGIN),
    "OpenAPI": Ask("HEAD /openapi.json"),
    "pages": Ask("GET /docs"),
    "health": Ask("GET /health"),
    **{
        line: Ask(line)
        for line in (
            f"POST {CHAT}",
            f"POST {FIM}",
            f"POST {TEXT}",
            f"POST {EMBEDDINGS}",
            "GET /v1/models/endless",
            "DELETE /v1/models/endless",
            f"POST {FILES}",
            f"GET {FILES}",
            f"GET {FILES}/{NAUGHT}",
            f"DELETE {FILES}/{NAUGHT}",
            f"GET {FILES}/{NAUGHT}/content",
            f"GET {FILES}/{NAUGHT}/url",
            "GET /v1/fine_tuning/jobs",
            "POST /v1/fine_tuning/jobs",
            f"GET /v1/fine_tuning/jobs/{NAUGHT}",
            f"POST /v1/fine_tuning/jobs/{NAUGHT}/start",
            f"POST /v1/fine_tuning/jobs/{NAUGHT}/cancel",
            "PATCH /v1/fine_tuning/models/none",
            "POST /v1/fine_tuning/models/none/archive",
            "DELETE /v1/fine_tuning/models/none/archive",
        )
    },
}

AUTHORIZED = {
    "the key": Ask("GET /v1/models/endless", headers=OPEN),
    "the key, with another case of its scheme": Ask("GET /v1/models/house", headers={"authorization": f"bearer {KEY}"}),
    "another host": Ask("GET /v1/models/endless", headers=OPEN | {"host": "rebound.example.org"}),
    "an allowed origin": Ask("GET /v1/models/endless", headers=OPEN | ORIGIN),
    "an allowed origin asks": Ask(f"OPTIONS {CHAT}", headers=ORIGIN | PREFLIGHT),
    "another origin": Ask("GET /v1/models/endless", headers=OPEN | OTHER_ORIGIN),
    "another origin asks": Ask(f"OPTIONS {CHAT}", headers=OTHER_ORIGIN | PREFLIGHT),
}


def chat(path: str = CHAT, **fields: Any) -> Ask:
    return Ask(f"POST {path}", body(**fields))


REFUSED_BY_STRICT: dict[str, Any] = {
    "top_k": 3,
    "min_tokens": 1,
    "repetition_penalty": 1.0,
    "logprobs": True,
    "top_logprobs": 1,
    "safe_mode": True,
    "seed": 1,
}
STRICT = {
    "whole": chat(),
    "streamed": chat(stream=True),
    "the alias": chat(model="house"),
    **{name: chat(**{name: value}) for name, value in REFUSED_BY_STRICT.items()},
    "OpenAI's client": Ask(f"POST {CHAT}", body(), headers={"user-agent": "OpenAI/Python 3"}),
    "OpenAI's path": chat(f"/openai{CHAT}", seed=1, top_k=3),
}

LARGE = {
    "a body": chat(text="x" * 10_000),
    "a body, OpenAI's dialect": chat(f"/openai{CHAT}", text="x" * 10_000),
    "a body of unannounced length": Ask(
        f"POST {CHAT}", headers={"content-type": "application/json"}, options={"content": (b"x" * 11_000,)}
    ),
    "a body for filling in": Ask(f"POST {FIM}", {"prompt": "x" * 10_000}),
    "a body of texts": Ask(f"POST {EMBEDDINGS}", {"model": "tiny-embedder", "input": "x" * 10_000}),
    "a file": Ask(f"POST {FILES}", options={"files": {"file": ("a.jsonl", b"{}\n" * 8000)}}),
    "a file for something else": Ask(
        f"POST {FILES}", options={"files": {"file": ("a.pdf", b"x" * 20_001)}, "data": {"purpose": "ocr"}}
    ),
    "a file that is much larger": Ask(f"POST {FILES}", options={"files": {"file": ("a.jsonl", b"{}\n" * 40_000)}}),
}

BUSY = {
    "whole": chat(),
    "streamed": chat(stream=True),
    "OpenAI's dialect": chat(f"/openai{CHAT}"),
    "OpenAI's dialect, streamed": chat(f"/openai{CHAT}", stream=True),
    "filling in": Ask(f"POST {FIM}", {"prompt": "a", "max_tokens": 4}),
    "a text": Ask(f"POST {TEXT}", {"prompt": "a", "max_tokens": 4}),
}

TOO_LONG = {
    "OpenAI's dialect": chat(f"/openai{CHAT}", **ENDLESS),
    "filling in": Ask(f"POST {FIM}", {"prompt": "a"} | ENDLESS),
}
TOO_LONG_STREAMS = {
    "OpenAI's dialect, streamed": chat(f"/openai{CHAT}", stream=True, **ENDLESS),
    "filling in, streamed": Ask(f"POST {FIM}", {"prompt": "a", "stream": True} | ENDLESS),
}

FAILING = {
    "whole": chat(model="failing", text=HOPELESS),
    "streamed": chat(model="failing", text=HOPELESS, stream=True),
    "streamed, several choices": chat(model="failing", text=HOPELESS, stream=True, n=2),
    "OpenAI's dialect": chat(f"/openai{CHAT}", model="failing", text=HOPELESS),
    "OpenAI's dialect, streamed": chat(f"/openai{CHAT}", model="failing", text=HOPELESS, stream=True),
    "filling in": Ask(f"POST {FIM}", {"model": "failing", "prompt": HOPELESS}),
    "a text": Ask(f"POST {TEXT}", {"model": "failing", "prompt": HOPELESS}),
    "an embedding": Ask(f"POST {EMBEDDINGS}", {"model": "failing-embedder", "input": ["a", HOPELESS_WORD]}),
}

GONE = {
    "whole": chat(model="gone"),
    "streamed": chat(model="gone", stream=True),
    "OpenAI's dialect": chat(f"/openai{CHAT}", model="gone"),
    "filling in": Ask(f"POST {FIM}", {"model": "gone", "prompt": "a"}),
    "a text": Ask(f"POST {TEXT}", {"model": "gone", "prompt": "a"}),
}


def test_keys_and_origins(guarded_server: LoggedServer, recording: Recording) -> None:
    with guarded_server.server.client() as client:
        recording.check("access", answers(client, UNAUTHORIZED | AUTHORIZED))


def test_strict_dialect(guarded_server: LoggedServer, recording: Recording) -> None:
    with guarded_server.client() as client:
        recording.check("strict", answers(client, STRICT))


def test_bodies_that_are_too_large(guarded_server: LoggedServer, recording: Recording) -> None:
    with guarded_server.client() as client:
        recording.check("too_large", answers(client, LARGE))


@dataclass
class Begun:
    """Stream whose first piece has arrived."""

    response: httpx2.Response
    first: bytes
    rest: Iterator[bytes]

    def ended(self) -> httpx2.Response:
        """Return the response as a single read would."""
        content = self.first + b"".join(self.rest)
        return httpx2.Response(self.response.status_code, headers=self.response.headers, content=content)


@contextlib.contextmanager
def begun(client: httpx2.Client, ask: Ask) -> Iterator[Begun]:
    """Begin a stream."""
    with client.stream("POST", ask.line.partition(" ")[2], json=ask.json) as response:
        pieces = response.iter_bytes()
        yield Begun(response, next(pieces), pieces)


def test_requests_beyond_the_queue_and_those_that_take_too_long(
    guarded_server: LoggedServer, recording: Recording
) -> None:
    with guarded_server.client() as client, ThreadPoolExecutor() as threads:
        one, two = TOO_LONG_STREAMS.values()
        with begun(client, one) as first, begun(client, two) as second:
            busy = answers(client, BUSY)
            streams = [exchange(one, first.ended()), exchange(two, second.ended())]
        whole = {name: threads.submit(ask.send, client) for name, ask in TOO_LONG.items()}
        ended = {name: exchange(TOO_LONG[name], answer.result()) for name, answer in whole.items()}
    recording.check("busy", busy)
    recording.check("timeout", ended | dict(zip(TOO_LONG_STREAMS, streams, strict=True)))


def test_models_that_fail(guarded_server: LoggedServer, recording: Recording) -> None:
    with guarded_server.client() as client:
        recording.check("failing", answers(client, FAILING))


def test_models_that_cannot_be_loaded(guarded_server: LoggedServer, recording: Recording) -> None:
    with guarded_server.client() as client:
        recording.check("unavailable", answers(client, GONE))
