"""Fine-tuning jobs over HTTP, for tests: small datasets that teach a tiny model one answer."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx2

from tests.training.runs import conversation

JOBS = "/v1/fine_tuning/jobs"
ENDS = ("SUCCESS", "FAILED", "FAILED_VALIDATION", "CANCELLED")
ANSWER = "the and a hello"
"""What the tiny model learns to say whatever it is asked."""

Job = dict[str, Any]


def dataset(lines: Iterable[object] | None = None) -> bytes:
    """A file to learn ``ANSWER`` from, or one of other lines."""
    asked = [f"{word} {number}" for word in ("hello", "user and", "system of", "the tion") for number in range(12)]
    lines = [conversation(question, ANSWER) for question in asked] if lines is None else lines
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def upload(client: httpx2.Client, content: bytes | None = None, name: str = "data.jsonl") -> str:
    """The id of a new file."""
    response = client.post("/v1/files", files={"file": (name, dataset() if content is None else content)})
    assert response.status_code == 200, response.text
    id_: str = response.json()["id"]
    return id_


def job_of(file_id: str, *, steps: int = 24, **fields: Any) -> Job:
    """The request for a job."""
    parameters = {"training_steps": steps, "learning_rate": 2e-3, "seq_len": 128, **fields.pop("hyperparameters", {})}
    return {
        "model": "tiny",
        "training_files": [{"file_id": file_id, "weight": 1}],
        "hyperparameters": parameters,
        **fields,
    }


def create(client: httpx2.Client, file_id: str, **fields: Any) -> Job:
    """A new job."""
    response = client.post(JOBS, json=job_of(file_id, **fields))
    assert response.status_code == 200, response.text
    job: Job = response.json()
    return job


def get(client: httpx2.Client, job_id: str) -> Job:
    """A job with all that happened to it."""
    response = client.get(f"{JOBS}/{job_id}")
    assert response.status_code == 200, response.text
    job: Job = response.json()
    return job


def wait_for(
    client: httpx2.Client, job_id: str, *statuses: str, seconds: float = 180, until: Callable[[Job], bool] | None = None
) -> Job:
    """The job once it is in one of these states (at an end, by default), or once something else is so."""
    wanted = until or (lambda job: job["status"] in (statuses or ENDS))
    deadline = time.monotonic() + seconds
    while not wanted(job := get(client, job_id)):
        assert time.monotonic() < deadline, f"it never happened: {job}"
        assert until is None or job["status"] not in ENDS, job
        time.sleep(0.05)
    return job


def states(job: Job) -> list[str]:
    """The states that a job went through, the first one first."""
    return [event["data"]["status"] for event in reversed(job["events"]) if event["name"] == "status-updated"]


def error(job: Job) -> str:
    """Why a job failed."""
    (text,) = [event["data"]["error"] for event in job["events"] if "error" in event["data"]]
    assert isinstance(text, str)
    return text


def ask(client: httpx2.Client, model: str, question: str) -> str:
    """The greedy answer of a model."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 12, "temperature": 0}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text
