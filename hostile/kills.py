"""The trial of processes: each child of a server is killed and stopped under load, and must be replaced."""

import contextlib
import itertools
import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from hostile.findings import Finding
from hostile.http_client import HttpClient
from hostile.requests import JSON, Request, upload
from hostile.results import Part
from hostile.rules import is_failure
from tests.scripted_trainer import scripted_training_path
from tests.serving import EXACT, ServerProcess, serving
from tests.tiny_embedder import write_tiny_embedder

STEP_TIMEOUT = 2
_RECOVERED_SECONDS = 30
"""Seconds after which a request must be answered again."""
_POLL_SECONDS = 0.01
_PATIENCE = 60
_PAUSE = 0.3
"""Seconds of ordinary work between two kills."""
_SCHEMA = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": False}


@dataclass(frozen=True)
class Victim:
    """A kind of child process.

    Attributes:
        name: name in reports.
        module: module that it runs.
        asks: returns a request that needs the process; it is called with another number each time.
    """

    name: str
    module: str
    asks: Callable[[int], Request]


def _chat(number: int, **fields: object) -> Request:
    body = {"messages": [{"role": "user", "content": f"Hello {number}"}], "max_tokens": 8, **fields}
    return Request("chat", "POST", "/v1/chat/completions", json.dumps(body).encode(), JSON)


def _structured(number: int) -> Request:
    schema = _SCHEMA | {"title": f"Schema {number}"}
    return _chat(number, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})


def _embedding(number: int) -> Request:
    body = json.dumps({"model": "mistral-embed", "input": f"the cat {number}"}).encode()
    return Request("embedding", "POST", "/v1/embeddings", body, JSON)


VICTIMS = (
    Victim("engine worker", "ponant.engine.llama.worker", _chat),
    Victim("embedding worker", "ponant.engine.embed.worker", _embedding),
    Victim("schema checker", "ponant.completion.schemas.worker", _structured),
)
_TRAINER = "ponant.training.worker"
_NUMBERS = itertools.count()
"""Numbers of requests. Equal schemas would be answered from a cache."""


def try_kills(model: Path, *, full: bool) -> list[Part]:
    """Kill and stop each kind of child process."""
    kills, stops = (20, 4) if full else (2, 1)
    with _served(model) as server:
        parts = [
            _recovered(server, victim, kind, count)
            for victim in VICTIMS
            for kind, count in ((signal.SIGKILL, kills), (signal.SIGSTOP, stops))
        ]
        return [*parts, _killed_trainer(server, 5 if full else 1)]


@contextlib.contextmanager
def _served(model: Path) -> Iterator[ServerProcess]:
    with tempfile.TemporaryDirectory(prefix="ponant-hostile-") as folder:
        embedder = Path(folder) / "tiny-embedder.gguf"
        write_tiny_embedder(embedder)
        with serving(
            str(model),
            str(embedder),
            **EXACT,
            PONANT_STEP_TIMEOUT=str(STEP_TIMEOUT),
            PYTHONPATH=scripted_training_path(),
        ) as server:
            yield server


def _recovered(server: ServerProcess, victim: Victim, kind: signal.Signals, count: int) -> Part:
    """Send a signal to a kind of process, several times under load; measure the time until the next answer."""
    part = Part(f"{victim.name}, {kind.name}")
    client = HttpClient(int(server.url.rpartition(":")[2]), _PATIENCE)
    with _load(server, victim):
        for _ in range(count):
            if client.send(victim.asks(next(_NUMBERS))).status != 200:
                part.findings.append(Finding("not recovered", part.name, "no answer before the next signal"))
            time.sleep(_PAUSE)
            process = _child(server, victim.module)
            if process is None:
                part.findings.append(Finding("no process", part.name, f"no child runs {victim.module}"))
                break
            part.requests += 1
            process.send_signal(kind)
            began = time.perf_counter()
            reply = client.send(victim.asks(next(_NUMBERS)))
            part.statuses[reply.status] += 1
            while reply.status != 200 and time.perf_counter() - began < _RECOVERED_SECONDS:
                reply = client.send(victim.asks(next(_NUMBERS)))
                part.statuses[reply.status] += 1
            part.recoveries.append(time.perf_counter() - began)
            if reply.status != 200:
                detail = f"status {reply.status}: {reply.beginning[:200]!r}"
                part.findings.append(Finding("not recovered", part.name, detail))
            if _is_stopped(process):
                part.findings.append(Finding("stopped process kept", part.name, f"process {process.pid}"))
    client.close()
    part.findings.extend(
        Finding("5xx", part.name, f"status {status}, {number} times")
        for status, number in part.statuses.items()
        if is_failure(status)
    )
    return part


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def _load(server: ServerProcess, victim: Victim) -> Iterator[None]:
    """Repeat requests in the background."""
    ended = threading.Event()

    def repeat() -> None:
        client = HttpClient(int(server.url.rpartition(":")[2]), _PATIENCE)
        while not ended.wait(_POLL_SECONDS):
            client.send(victim.asks(next(_NUMBERS)))
        client.close()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_PATIENCE)


def _child(server: ServerProcess, module: str, seconds: float = 10) -> psutil.Process | None:
    """Return the child that runs a module, once there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for child in psutil.Process(server.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if module in child.cmdline():
                    return child
        time.sleep(_POLL_SECONDS)
    return None


def _killed_trainer(server: ServerProcess, count: int) -> Part:
    """Kill the trainer of a job: the job ends or is resumed, and the next job is trained."""
    part = Part("trainer, SIGKILL")
    client = HttpClient(int(server.url.rpartition(":")[2]), _PATIENCE)
    line = b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n'
    file = json.loads(client.send(upload(line * 20)).beginning)["id"]
    for _ in range(count):
        job = _create_job(client, file, steps=400)
        process = _child(server, _TRAINER, 30)
        if process is None:
            part.findings.append(Finding("no process", part.name, "the job starts no trainer"))
            break
        part.requests += 1
        process.send_signal(signal.SIGKILL)
        began = time.perf_counter()
        _wait_for_end(client, job, part)
        following = _create_job(client, file, steps=2)
        if _wait_for_end(client, following, part) != "SUCCESS":
            part.findings.append(Finding("not recovered", part.name, "the next job was not trained"))
        part.recoveries.append(time.perf_counter() - began)
    client.close()
    return part


def _create_job(client: HttpClient, file: str, *, steps: int) -> str:
    body = {
        "model": "tiny",
        "training_files": [{"file_id": file, "weight": 1}],
        "hyperparameters": {"training_steps": steps},
    }
    reply = client.send(Request("job", "POST", "/v1/fine_tuning/jobs", json.dumps(body).encode(), JSON))
    return str(json.loads(reply.beginning)["id"])


def _wait_for_end(client: HttpClient, job: str, part: Part) -> str | None:
    """Wait for the end of a job; return its state, or None and a finding if it does not end."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = client.send(Request("job", "GET", f"/v1/fine_tuning/jobs/{job}"))
        part.statuses[found.status] += 1
        state = _state(found.beginning)
        if state in ("SUCCESS", "FAILED", "CANCELLED", "FAILED_VALIDATION"):
            return state
        time.sleep(0.1)
    part.findings.append(Finding("not recovered", part.name, f"job {job} does not end"))
    return None


def _state(job: bytes) -> str:
    """Return the state in the beginning of a job."""
    text = job.decode(errors="replace")
    return text.partition('"status":"')[2].partition('"')[0]
