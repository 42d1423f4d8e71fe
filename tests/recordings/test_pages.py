"""Models, pages about the server, and requests that match no route."""

import httpx2
import pytest

from tests.chatting import CHAT
from tests.recordings.asking import Ask, answers
from tests.recordings.recording import Recording

MODELS = {
    "all": Ask("GET /v1/models"),
    "by provider": Ask("GET /v1/models?provider=unknown"),
    "by name": Ask("GET /v1/models?model=tiny-embedder"),
    "one": Ask("GET /v1/models/tiny"),
    "one that embeds": Ask("GET /v1/models/tiny-embedder"),
    "by a public name": Ask("GET /v1/models/mistral-large-latest"),
    "none": Ask("GET /v1/models/no/such-model"),
    "deleting a base model": Ask("DELETE /v1/models/tiny"),
    "deleting none": Ask("DELETE /v1/models/no/such-model"),
    "the wrong method": Ask("PUT /v1/models/tiny"),
    "all, the wrong method": Ask("DELETE /v1/models"),
}

PAGES = {
    "health": Ask("GET /health"),
    "readiness": Ask("GET /ready"),
    "pages": Ask("GET /docs"),
    "no such script": Ask("GET /pages/static/missing.js"),
    "health, the wrong method": Ask("POST /health"),
    "readiness, the wrong method": Ask("POST /ready"),
    "pages, the wrong method": Ask("POST /docs"),
    "the root": Ask("GET /"),
    "the version alone": Ask("GET /v1"),
    "another version": Ask("GET /v2/models"),
    "below a route": Ask(f"GET {CHAT}/more"),
    "the head of a page": Ask("HEAD /health"),
    "a page's question before it calls": Ask(
        f"OPTIONS {CHAT}", headers={"origin": "https://app.example.org", "access-control-request-method": "POST"}
    ),
    "a page's call": Ask("GET /v1/models/tiny", headers={"origin": "https://app.example.org"}),
    "another host": Ask("GET /v1/models/tiny", headers={"host": "rebound.example.org"}),
    "another host, OpenAI's dialect": Ask("GET /openai/v1/models/tiny", headers={"host": "rebound.example.org"}),
    "another host, a page": Ask("GET /health", headers={"host": "rebound.example.org"}),
    "any key": Ask("GET /v1/models/tiny", headers={"authorization": "Bearer whatever"}),
}


def test_models(tiny_client: httpx2.Client, recording: Recording) -> None:
    recording.check("models", answers(tiny_client, MODELS))


def test_pages(tiny_client: httpx2.Client, recording: Recording) -> None:
    tiny_client.post("/v1/embeddings", json={"model": "tiny-embedder", "input": "a"})  # load both models
    recording.check("pages", answers(tiny_client, PAGES))


@pytest.mark.parametrize(("path", "area"), [("/openapi.json", "openapi"), ("/nim/openapi.json", "nim-openapi")])
def test_documents(tiny_client: httpx2.Client, recording: Recording, path: str, area: str) -> None:
    document = tiny_client.get(path).json()
    document["info"]["version"] = "<version>"
    document["servers"][0]["url"] = "<address>"
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("x-codeSamples", None)  # tests of the samples run them
    recording.check_json(area, document)
