"""Every route of `ponant serve` once, as users run it: a process of its own with real models.

Other tests of routes use servers in the test process.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.serving import EXACT, serving

NO_JOB = "/v1/fine_tuning/jobs/00000000-0000-4000-8000-000000000000"
NO_MODEL = "/v1/fine_tuning/models/ft:no:such"
HELLO = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
LINE = b'{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}\n'

ANSWERED: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/chat/completions", {"json": HELLO}),
    ("POST", "/v1/chat/completions", {"json": HELLO | {"stream": True}}),
    ("POST", "/v1/fim/completions", {"json": {"model": "tiny", "prompt": "a", "max_tokens": 2}}),
    ("POST", "/v1/embeddings", {"json": {"model": "tiny-embedder", "input": "a"}}),
    ("GET", "/v1/models", {}),
    ("GET", "/v1/models/{model_id}", {}),
    ("GET", "/v1/files", {}),
    ("POST", "/v1/files", {"files": {"file": ("a.jsonl", LINE)}}),
    ("GET", "/v1/files/{file_id}", {}),
    ("GET", "/v1/files/{file_id}/content", {}),
    ("GET", "/v1/files/{file_id}/url", {}),
    ("DELETE", "/v1/files/{file_id}", {}),
    ("GET", "/v1/fine_tuning/jobs", {}),
    ("GET", "/health", {}),
    ("GET", "/ready", {}),
    ("GET", "/docs", {}),
    ("GET", "/openapi.json", {}),
    ("POST", "/openai/v1/chat/completions", {"json": HELLO}),
    ("POST", "/nim/v1/chat/completions", {"json": {"model": "tiny", **HELLO}}),
]
REFUSED: list[tuple[str, str, str, dict[str, Any], int]] = [
    ("DELETE", "/v1/models/{model_id}", "/v1/models/tiny", {}, 400),
    ("POST", "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs", {"json": {"model": "tiny"}}, 422),
    ("GET", "/v1/fine_tuning/jobs/{job_id}", NO_JOB, {}, 404),
    ("POST", "/v1/fine_tuning/jobs/{job_id}/start", f"{NO_JOB}/start", {}, 404),
    ("POST", "/v1/fine_tuning/jobs/{job_id}/cancel", f"{NO_JOB}/cancel", {}, 404),
    ("PATCH", "/v1/fine_tuning/models/{model_id}", NO_MODEL, {"json": {"name": "a"}}, 404),
    ("POST", "/v1/fine_tuning/models/{model_id}/archive", f"{NO_MODEL}/archive", {}, 404),
    ("DELETE", "/v1/fine_tuning/models/{model_id}/archive", f"{NO_MODEL}/archive", {}, 404),
]


@pytest.fixture(scope="module")
def client(tiny_model: Path, tiny_embedder: Path) -> Iterator[httpx2.Client]:
    with serving(str(tiny_model), str(tiny_embedder), **EXACT) as server, server.client() as client:
        yield client


def test_routes_answer(client: httpx2.Client) -> None:
    names = {"model_id": "tiny"}
    for method, path, request in ANSWERED:
        response = client.request(method, path.format(**names), **request)
        assert response.status_code == 200, f"{method} {path}: {response.text}"
        if (method, path) == ("POST", "/v1/files"):
            names["file_id"] = response.json()["id"]


def test_routes_that_need_more_refuse_in_order(client: httpx2.Client) -> None:
    for method, _, path, request, status in REFUSED:
        response = client.request(method, path, **request)
        assert response.status_code == status, f"{method} {path}: {response.text}"


def test_no_route_is_left_out(client: httpx2.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    called = {(method, path) for method, path, _ in ANSWERED} | {(method, path) for method, path, *_ in REFUSED}
    assert served <= called
