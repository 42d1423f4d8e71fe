"""``/v1/status``: what the pages of the server show."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from ponant._version import __version__
from ponant.api.status import CacheStatus, FineTunedStatus, ModelStatus, RequestStatus, ServerStatus, TokenTotals
from ponant.engine.base import Delta
from ponant.engine.report import StepReport
from ponant.server.token_rates import TokenRates
from ponant.server.wiring import make_app, make_catalog
from ponant.settings import read_settings
from ponant.storage.errors import StorageError
from ponant.storage.files import FileStore
from ponant.storage.lazy import LazyStorage
from tests.chatting import CHAT, body
from tests.in_process import ScriptedServer, serving_scripted
from tests.jobs import JOBS, create, dataset, job_of, upload, wait_for
from tests.scripted_engine import Gate
from tests.serving import wait_until

STATUS = "/v1/status"
SECRET = "a private question"


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[ScriptedServer]:
    with serving_scripted(tiny_model, ("tiny", "other"), engine={"context": 4096}, aliases={"small": "tiny"}) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: ScriptedServer) -> Iterator[httpx2.Client]:
    with server.client() as client:
        yield client


def status(client: httpx2.Client) -> dict[str, Any]:
    response = client.get(STATUS)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def shown_of(client: httpx2.Client, response: httpx2.Response) -> dict[str, Any]:
    """Return what is shown of a request, which is recorded just after its response has been sent."""
    found: list[dict[str, Any]] = []

    def is_shown() -> bool:
        id_ = response.headers["x-request-id"]
        found[:] = [request for request in status(client)["requests"] if request["id"] == id_]
        return bool(found)

    wait_until(is_shown)
    return found[0]


def model(client: httpx2.Client, name: str = "tiny") -> dict[str, Any]:
    (found,) = [each for each in status(client)["models"] if each["id"] == name]
    return dict(found)


def test_models_are_listed_loaded_or_not(client: httpx2.Client) -> None:
    shown = status(client)
    assert (shown["version"], shown["state"]) == (__version__, "ready")
    assert shown["started"] <= shown["now"]
    assert shown["machine"]["cores"] >= 1
    assert 0 < shown["machine"]["memory_available"] <= shown["machine"]["memory"]
    tiny, other, embedder = shown["models"]
    assert (tiny["state"], tiny["is_default"], tiny["device"], tiny["context"]) == ("ready", True, "script", 4096)
    assert tiny["aliases"] == ["small"]
    assert {"chat", "tools"} <= set(tiny["abilities"])
    assert (tiny["running"], tiny["places"], tiny["waiting"], tiny["memory"]) == (0, 16, 0, 2**20)
    assert (other["state"], other["is_default"], other["device"], other["places"]) == ("unloaded", False, None, None)
    assert (embedder["kind"], embedder["state"], embedder["abilities"]) == ("embed", "unloaded", ["embeddings"])


def test_numbers_are_those_of_the_engine(
    server: ScriptedServer, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = StepReport(running=3, waiting=2, cells_used=100, cells_kept=50, tokens_stored=20, drawn_tokens=900)
    monkeypatch.setattr(type(server.engine), "report", report)
    monkeypatch.setattr(type(server.engine), "waiting", 2)
    shown = model(client)
    assert (shown["running"], shown["waiting"]) == (3, 2)
    assert shown["cache"] == {"cells": 65536, "used": 100, "kept": 50, "stored": 20}


def test_request_is_shown_with_its_numbers_and_without_its_texts(server: ScriptedServer, client: httpx2.Client) -> None:
    tokens = server.engine.tokens("{}")
    server.engine.play(*(Delta(choice, tokens, "stop", cached_tokens=5) for choice in range(2)))
    before = model(client)["totals"]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    asked = body(SECRET, model="small", n=2, response_format=schema)
    response = client.post(CHAT, json=asked)
    usage = response.json()["usage"]
    shown = shown_of(client, response)
    assert (shown["method"], shown["route"], shown["status"]) == ("POST", CHAT, 200)
    assert (shown["model"], shown["stream"], shown["n"], shown["schema"]) == ("tiny", False, 2, True)
    assert shown["prompt_tokens"] == usage["prompt_tokens"]
    assert shown["cached_tokens"] == usage["num_cached_tokens"] == 5
    assert shown["completion_tokens"] == usage["completion_tokens"]
    assert 0 < shown["first_token_ms"] <= shown["ms"]
    after = model(client)["totals"]
    assert after["requests"] == before["requests"] + 1
    assert after["cached_tokens"] == before["cached_tokens"] + 5
    assert after["prompt_tokens"] == before["prompt_tokens"] + usage["prompt_tokens"]
    assert after["completion_tokens"] == before["completion_tokens"] + usage["completion_tokens"]
    text = client.get(STATUS).text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("path", "sent", "shown"),
    [
        (CHAT, body("x", stream=True), {"route": CHAT, "stream": True, "status": 200, "dialect": "mistral"}),
        (f"/openai{CHAT}", body("x"), {"route": CHAT, "dialect": "openai", "status": 200}),
        (f"/nim{CHAT}", body("x"), {"route": CHAT, "dialect": "nim", "status": 200}),
        ("/v1/fim/completions", {"prompt": "x"}, {"route": "/v1/fim/completions", "status": 200, "n": 1}),
        (
            "/v1/completions",
            {"model": "tiny", "prompt": ["x", "y"], "n": 2},
            {"route": "/v1/completions", "n": 4, "status": 200},
        ),
        (CHAT, body("x", model="none"), {"model": "none", "status": 400, "prompt_tokens": None}),
        (CHAT, body("x", model="x" * 300), {"model": "x" * 200, "status": 400}),
        (CHAT, {"messages": "x"}, {"model": None, "status": 422, "first_token_ms": None}),
        ("/v1/files/nothing", None, {"method": "DELETE", "route": "/v1/files/{file_id}", "status": 404}),
    ],
    ids=["stream", "openai", "nim", "fim", "texts", "unknown model", "long name", "invalid", "delete"],
)
def test_every_kind_of_request_is_shown(
    client: httpx2.Client, path: str, sent: dict[str, Any] | None, shown: dict[str, Any]
) -> None:
    found = shown_of(client, client.request("DELETE" if sent is None else "POST", path, json=sent))
    assert {name: found[name] for name in shown} == shown


def test_embeddings_are_counted_under_the_id_of_their_model(client: httpx2.Client) -> None:
    response = client.post("/v1/embeddings", json={"model": "mistral-embed", "input": ["one", "two"]})
    shown = shown_of(client, response)
    assert shown["model"] == "multilingual-e5-small"
    assert shown["prompt_tokens"] == response.json()["usage"]["prompt_tokens"]
    counted = model(client, "multilingual-e5-small")
    assert (counted["state"], counted["totals"]["requests"]) == ("ready", 1)


def test_stream_that_fails_or_is_left_is_shown_as_such(server: ScriptedServer, client: httpx2.Client) -> None:
    tokens = len(server.engine.tokens("Hello"))
    server.engine.play("Hello", RuntimeError("it broke"))
    failed = shown_of(client, client.post(CHAT, json=body("x", stream=True)))
    assert (failed["status"], failed["completion_tokens"]) == (500, tokens)
    server.engine.play("Hello", gate := Gate())
    with client.stream("POST", CHAT, json=body("x", stream=True)) as response:
        lines = response.iter_lines()
        next(lines)
        assert gate.reached.wait(30)
        assert model(client)["running"] == 1
    left = shown_of(client, response)
    assert (left["status"], left["completion_tokens"]) == (499, tokens)


def test_reads_of_lists_are_not_shown_and_old_requests_are_dropped(client: httpx2.Client) -> None:
    for _ in range(60):
        client.post(CHAT, json={})
    newest = shown_of(client, client.post(CHAT, json={}))
    for path in ("/v1/models", "/v1/files", JOBS, "/v1/nothing"):
        client.get(path)
    requests = status(client)["requests"]
    assert requests[0] == newest
    assert len(requests) == 50
    assert [request["created"] for request in requests] == sorted((r["created"] for r in requests), reverse=True)


@pytest.mark.parametrize("key", [None, "wrong"])
def test_without_the_key_of_a_server_that_has_one_nothing_is_shown(tiny_model: Path, key: str | None) -> None:
    with serving_scripted(tiny_model, api_keys=["secret"]) as server, server.client(key=key) as client:
        refused = client.get(STATUS)
        assert (refused.status_code, refused.json()) == (401, {"detail": "Unauthorized"})
        client.post(CHAT, json=body("x"))
        with server.client(key="secret") as known:
            assert status(known)["requests"] == []


def test_other_hosts_are_refused(client: httpx2.Client) -> None:
    assert client.get(STATUS, headers={"host": "rebound.example.org"}).status_code == 403


async def test_models_that_are_still_loaded_are_listed(tiny_model: Path, tmp_path: Path) -> None:
    settings = read_settings(None, models=[str(tiny_model)])
    app = make_app(make_catalog(settings), settings, LazyStorage(tmp_path))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
        shown = (await client.get(STATUS)).json()
    assert shown["state"] == "not ready"
    assert [(each["id"], each["state"], each["context"]) for each in shown["models"]] == [
        ("tiny", "unloaded", None),
        ("multilingual-e5-small", "unloaded", None),
    ]


def test_storage_is_not_opened_and_is_read_once_a_second_for_all(
    server: ScriptedServer, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (status(client)["jobs"], status(client)["files"]) == ([], {"count": 0, "bytes": 0})
    content = dataset()
    upload(client, content)
    wait_until(lambda: status(client)["files"] == {"count": 1, "bytes": len(content)})
    reads: list[float] = []
    totals = FileStore.totals

    async def counted(self: FileStore) -> tuple[int, int]:
        reads.append(time.monotonic())
        return await totals(self)

    monkeypatch.setattr(FileStore, "totals", counted)
    readers = [threading.Thread(target=lambda: [status(client) for _ in range(10)]) for _ in range(4)]
    began = time.monotonic()
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(reads) <= 1 + (time.monotonic() - began) / 0.9

    async def broken(_: FileStore) -> tuple[int, int]:
        raise StorageError("gone")

    monkeypatch.setattr(FileStore, "totals", broken)
    wait_until(lambda: status(client)["files"] is None)
    assert status(client)["jobs"] is None


@pytest.mark.parametrize("kind", [ServerStatus, ModelStatus, RequestStatus, FineTunedStatus, CacheStatus, TokenTotals])
def test_fields_are_documented(kind: type[BaseModel]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "status.md").read_text()
    names = [field.serialization_alias or name for name, field in kind.model_fields.items()]
    assert [name for name in names if f"`{name}`" not in page and f'"{name}"' not in page] == []


def test_rate_is_that_of_the_last_seconds() -> None:
    rates = TokenRates()
    assert rates.rate("a", 100, now=10.0) is None
    assert rates.rate("a", 130, now=11.0) == 30
    assert rates.rate("b", 0, now=11.0) is None
    assert [rates.rate("a", 130 + 10 * step, now=11.0 + step) for step in range(1, 9)][-1] == 10
    assert rates.rate("a", 5, now=20.0) is None, "the engine has restarted"
    assert rates.rate("a", 25, now=22.0) == 10
    assert rates.rate("a", 25, now=60.0) is None, "the last total is old"


@pytest.mark.usefixtures("scripted_training")
def test_job_is_shown_with_its_progress_and_its_curves_are_its_events(client: httpx2.Client) -> None:
    file_id = upload(client)
    job = create(client, file_id, steps=60, validation_files=[file_id], suffix="curve")
    done = wait_for(client, job["id"])
    assert done["status"] == "SUCCESS"
    metrics = client.get(f"{JOBS}/{job['id']}/metrics").json()
    assert metrics["every"] == 1
    assert [step for step, _ in metrics["train"]] == list(range(1, 61))
    (progress,) = [event["data"] for event in done["events"] if event["name"] == "progress"]
    assert metrics["train"][-1] == [progress["step"], progress["loss"]]
    checkpoints = [
        [point["step_number"], point["metrics"]["valid_loss"], point["metrics"]["valid_mean_token_accuracy"]]
        for point in reversed(done["checkpoints"])
    ]
    assert metrics["validation"] == checkpoints
    wait_until(lambda: status(client)["jobs"][0]["status"] == "SUCCESS")
    shown = status(client)["jobs"][0]
    assert (shown["id"], shown["suffix"], shown["progress"]["step"]) == (job["id"], "curve", 60)
    assert shown["fine_tuned_model"] == done["fine_tuned_model"]
    (tuned,) = status(client)["fine_tuned"]
    assert (tuned["id"], tuned["base"], tuned["job"], tuned["is_loaded"]) == (
        done["fine_tuned_model"],
        "tiny",
        job["id"],
        False,
    )


def test_metrics_of_an_unknown_job_are_not_found(client: httpx2.Client) -> None:
    assert client.get(f"{JOBS}/00000000-0000-0000-0000-000000000000/metrics").status_code == 404


@pytest.mark.usefixtures("scripted_training")
def test_verdict_names_the_lines_that_cannot_be_learned(client: httpx2.Client) -> None:
    good = dataset()
    bad = good + dataset([{"messages": []}, {"messages": [{"role": "user", "content": "hello"}]}])
    files = [upload(client, good), upload(client, bad)]
    lines = good.count(b"\n")
    ask = f"{JOBS}/verdict"
    accepted = client.post(ask, json=job_of(files[0])).json()
    assert (accepted["accepted"], accepted["message"], accepted["plan"]["steps"]) == (True, None, 24)
    assert (accepted["files"][0]["lines"], accepted["files"][0]["bad_lines"]) == (lines, [])

    refused = client.post(ask, json=job_of(files[1], validation_files=[files[0]])).json()
    assert (refused["accepted"], refused["plan"]) == (False, None)
    assert "2 of" in refused["message"]
    training, validation = refused["files"]
    assert [line["line"] for line in training["bad_lines"]] == [lines + 1, lines + 2]
    assert "assistant" in training["bad_lines"][1]["reason"]
    assert (training["file_id"], training["kind"], training["invalid"]) == (files[1], "training", 2)
    assert (validation["kind"], validation["lines"]) == ("validation", None)

    skipped = client.post(ask, json=job_of(files[1], invalid_sample_skip_percentage=0.5)).json()
    assert (skipped["accepted"], skipped["files"][0]["invalid"]) == (True, 2)
    assert client.post(ask, json=job_of("no-file")).status_code == 400
