"""Fine-tuning: jobs from their creation to their models, and the use of these models."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.chatting import CHAT, body
from tests.jobs import JOBS, dataset, job_of, upload, wait_for
from tests.recordings.asking import Ask, answers, exchange
from tests.recordings.conftest import LoggedServer
from tests.recordings.recording import Recording
from tests.training.extra import skip_without_training
from tests.training.runs import conversation

skip_without_training()

MODELS = "/v1/fine_tuning/models"
NAUGHT = "00000000-0000-4000-8000-000000000000"
WANDB = {"type": "wandb", "project": "ships", "api_key": "0123456789" * 4}
BAD_LINES: list[object] = [conversation("Say it.", "the hello"), {"messages": []}, {"messages": "Say it."}]

REFUSED: dict[str, dict[str, Any]] = {
    "a classifier": {"job_type": "classifier"},
    "a classifier's targets": {"classifier_targets": [{"name": "mood", "labels": ["a", "b"]}]},
    "a repository": {"repositories": [{"type": "github", "name": "a", "owner": "b", "token": "c"}]},
    "no files": {"training_files": []},
    "no such file": {"training_files": [{"file_id": NAUGHT}]},
    "no such file to measure by": {"validation_files": ["../../etc/passwd"]},
    "a suffix that is none": {"suffix": "a/b"},
    "too many steps": {"hyperparameters": {"training_steps": 10**30}},
    "too many epochs": {"hyperparameters": {"epochs": 1e308}},
    "a model that embeds": {"model": "tiny-embedder"},
    "no such model": {"model": "no-such-model"},
    "two integrations": {"integrations": [WANDB, WANDB]},
    "values out of range": {"hyperparameters": {"learning_rate": 2, "training_steps": 0, "seq_len": 10, "epochs": 0}},
    "an unknown parameter": {"hyperparameters": {"rank": 4}},
    "no parameters": {"hyperparameters": None},
    "a suffix that is too long": {"suffix": "x" * 19},
    "too many bad lines": {"invalid_sample_skip_percentage": 0.6},
    "no weight": {"training_files": [{"file_id": "a", "weight": 0}]},
    "a short key": {"integrations": [WANDB | {"api_key": "short"}]},
    "an unknown field": {"priority": "high"},
}

QUERIES = {
    "no job": Ask(f"GET {JOBS}?suffix=no-such"),
    "a negative page": Ask(f"GET {JOBS}?page=-1"),
    "no size": Ask(f"GET {JOBS}?page_size=0"),
    "an unknown status": Ask(f"GET {JOBS}?status=DONE"),
    "a time that is none": Ask(f"GET {JOBS}?created_after=soon"),
    "the wrong method": Ask(f"PUT {JOBS}"),
    "no such job": Ask(f"GET {JOBS}/{NAUGHT}"),
    "starting no such job": Ask(f"POST {JOBS}/{NAUGHT}/start"),
    "cancelling no such job": Ask(f"POST {JOBS}/{NAUGHT}/cancel"),
    "a job, the wrong method": Ask(f"DELETE {JOBS}/{NAUGHT}"),
    "changing no such model": Ask(f"PATCH {MODELS}/no-such", {"name": "a"}),
    "changing a base model": Ask(f"PATCH {MODELS}/endless", {"name": "a"}),
    "changing something unknown": Ask(f"PATCH {MODELS}/endless", {"colour": "blue"}),
    "archiving no such model": Ask(f"POST {MODELS}/no-such/archive"),
    "taking no such model out of the archive": Ask(f"DELETE {MODELS}/no-such/archive"),
    "no JSON": Ask(f"POST {JOBS}", headers={"content-type": "application/json"}, options={"content": b"{"}),
    "batch jobs, which there are not": Ask("GET /v1/batch/jobs"),
}


def of_model(name: str) -> dict[str, Ask]:
    """Return requests that name a fine-tuned model; the last one deletes it."""
    chat = Ask(f"POST {CHAT}", body(model=name))
    return {
        "card": Ask(f"GET /v1/models/{name}"),
        "chat": chat,
        "chat, OpenAI's dialect": Ask(f"POST /openai{CHAT}", body(model=name)),
        "filling in": Ask("POST /v1/fim/completions", {"model": name, "prompt": "a", "max_tokens": 12}),
        "training it further": Ask(f"POST {JOBS}", job_of(NAUGHT, model=name)),
        "naming it": Ask(f"PATCH {MODELS}/{name}", {"name": "Mine", "description": "It is mine."}),
        "naming it badly": Ask(f"PATCH {MODELS}/{name}", {"name": "a\0b"}),
        "archiving it": Ask(f"POST {MODELS}/{name}/archive"),
        "chat, once archived": chat,
        "card, once archived": Ask(f"GET /v1/models/{name}"),
        "taking it out of the archive": Ask(f"DELETE {MODELS}/{name}/archive"),
        "chat, once more": chat,
        "deletion": Ask(f"DELETE /v1/models/{name}"),
        "card, once deleted": Ask(f"GET /v1/models/{name}"),
        "deletion, once deleted": Ask(f"DELETE /v1/models/{name}"),
    }


@pytest.fixture
def client(guarded_server: LoggedServer) -> Iterator[httpx2.Client]:
    with guarded_server.client() as client:
        yield client
        for file in client.get("/v1/files").json()["data"]:
            client.delete(f"/v1/files/{file['id']}")


def without_events(response: httpx2.Response) -> httpx2.Response:
    """Return the response without the events of its job, whose number depends on time."""
    return httpx2.Response(response.status_code, headers=response.headers, json=response.json() | {"events": []})


def test_jobs(client: httpx2.Client, guarded_server: LoggedServer, recording: Recording) -> None:
    log = guarded_server.log()
    file_id = upload(client)
    asked = job_of(file_id, steps=2, model="endless", suffix="recorded", auto_start=False, validation_files=[file_id])
    creating = Ask(f"POST {JOBS}", asked)
    created = creating.send(client)
    job_id: str = created.json()["id"]
    job = f"{JOBS}/{job_id}"
    told = {"creation": exchange(creating, created)}

    wait_for(client, job_id, "VALIDATED")
    told |= answers(client, {"once validated": Ask(f"GET {job}")})
    starting = Ask(f"POST {job}/start")
    told["start"] = exchange(starting, without_events(starting.send(client)))
    refused = {
        name: Ask(f"POST {JOBS}", job_of(file_id, model="endless") | changes) for name, changes in REFUSED.items()
    }
    recording.check("jobs_refused", answers(client, refused | QUERIES))

    name: str = wait_for(client, job_id)["fine_tuned_model"]
    told |= answers(
        client,
        {
            "once done": Ask(f"GET {job}"),
            "start, once done": Ask(f"POST {job}/start"),
            "cancellation, once done": Ask(f"POST {job}/cancel"),
            "list": Ask(f"GET {JOBS}?suffix=recorded&status=SUCCESS&page_size=1"),
        },
    )
    recording.check("jobs", told)
    recording.check("tuned_model", answers(client, of_model(name)))
    lines = [line for line in log.wait_for("model removed") if "INFO request" not in line]
    recording.check("log_jobs", {"a job": "\n".join(lines)})


def test_jobs_that_end_early(client: httpx2.Client, guarded_server: LoggedServer, recording: Recording) -> None:
    log = guarded_server.log()
    file_id = upload(client, dataset(BAD_LINES))
    failing = job_of(file_id, model="endless", suffix="bad")
    failed, waiting = (client.post(JOBS, json=asked).json()["id"] for asked in (failing, failing | {"suffix": "next"}))
    told = answers(
        client,
        {
            "cancellation": Ask(f"POST {JOBS}/{waiting}/cancel"),
            "cancellation, once more": Ask(f"POST {JOBS}/{waiting}/cancel"),
            "start, once cancelled": Ask(f"POST {JOBS}/{waiting}/start"),
        },
    )
    wait_for(client, failed)
    dry_run = Ask(f"POST {JOBS}?dry_run=true", job_of(upload(client), model="endless"))
    told |= answers(client, {"bad lines": Ask(f"GET {JOBS}/{failed}"), "a dry run": dry_run})
    recording.check("jobs_ended", told)
    lines = [line for line in log.wait_for("job failed") if "INFO request" not in line]
    recording.check("log_jobs_ended", {"a job": "\n".join(lines)})
