"""Fine-tuning jobs over HTTP: small datasets that teach a tiny model one answer."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx2

from tests.training.runs import conversation

JOBS = "/v1/fine_tuning/jobs"
ENDS = ("SUCCESS", "FAILED", "FAILED_VALIDATION", "CANCELLED")
ANSWER = "the and a hello"
"""Answer that the tiny model learns to give to every prompt."""

Job = dict[str, Any]


def dataset(lines: Iterable[object] | None = None) -> bytes:
    """Return a training file that teaches ``ANSWER``, or one with the given lines."""
    asked = [f"{word} {number}" for word in ("hello", "user and", "system of", "the tion") for number in range(12)]
    lines = [conversation(question, ANSWER) for question in asked] if lines is None else lines
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def upload(client: httpx2.Client, content: bytes | None = None, name: str = "data.jsonl") -> str:
    """Upload a file and return its id."""
    response = client.post("/v1/files", files={"file": (name, dataset() if content is None else content)})
    assert response.status_code == 200, response.text
    id_: str = response.json()["id"]
    return id_


def job_of(file_id: str, *, steps: int = 24, **fields: Any) -> Job:
    """Return the body of a request for a job."""
    parameters = {"training_steps": steps, "learning_rate": 2e-3, "seq_len": 128, **fields.pop("hyperparameters", {})}
    return {
        "model": "tiny",
        "training_files": [{"file_id": file_id, "weight": 1}],
        "hyperparameters": parameters,
        **fields,
    }


def create(client: httpx2.Client, file_id: str, **fields: Any) -> Job:
    """Create a job."""
    response = client.post(JOBS, json=job_of(file_id, **fields))
    assert response.status_code == 200, response.text
    job: Job = response.json()
    return job


def get(client: httpx2.Client, job_id: str) -> Job:
    """Return a job with its events."""
    response = client.get(f"{JOBS}/{job_id}")
    assert response.status_code == 200, response.text
    job: Job = response.json()
    return job


def wait_for(
    client: httpx2.Client, job_id: str, *statuses: str, seconds: float = 180, until: Callable[[Job], bool] | None = None
) -> Job:
    """Return the job once it is in one of these states (by default a final one), or once ``until`` returns true."""
    wanted = until or (lambda job: job["status"] in (statuses or ENDS))
    deadline = time.monotonic() + seconds
    while not wanted(job := get(client, job_id)):
        assert time.monotonic() < deadline, f"it never happened: {job}"
        assert until is None or job["status"] not in ENDS, job
        time.sleep(0.1)
    return job


def states(job: Job) -> list[str]:
    """Return the states of a job in chronological order."""
    return [event["data"]["status"] for event in reversed(job["events"]) if event["name"] == "status-updated"]


def error(job: Job) -> str:
    """Return the error of a failed job."""
    (text,) = [event["data"]["error"] for event in job["events"] if "error" in event["data"]]
    assert isinstance(text, str)
    return text


def ask(client: httpx2.Client, model: str, question: str) -> str:
    """Return the greedy answer of a model."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 12, "temperature": 0}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text
