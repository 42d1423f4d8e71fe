"""Fine-tuning jobs in OpenAI's dialect over HTTP. Their training is scripted."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.in_process import EXACT, serving_in_process
from tests.jobs import JOBS, Job, create, get, upload, wait_for
from tests.scripted_trainer import scripted_training_path
from tests.training.extra import skip_without_training

skip_without_training()

OPENAI_JOBS = f"/openai{JOBS}"


@pytest.fixture(scope="module")
def client(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with (
        serving_in_process(tiny_model, **EXACT, data_dir=tmp_path_factory.mktemp("data")) as server,
        server.client() as client,
    ):
        yield client


@pytest.fixture(scope="module")
def file_id(client: httpx2.Client) -> str:
    return upload(client)


@pytest.fixture(scope="module")
def other_job(client: httpx2.Client, file_id: str) -> Job:
    """Job that waits for its start."""
    return create(client, file_id, auto_start=False)


@pytest.fixture(scope="module")
def openai_job(client: httpx2.Client, file_id: str) -> Job:
    """Job of OpenAI's dialect that has succeeded. Its training is scripted."""
    parameters = {"n_epochs": 1, "batch_size": "auto", "learning_rate_multiplier": 20}
    asked = {
        "model": "tiny",
        "training_file": file_id,
        "validation_file": file_id,
        "method": {"type": "supervised", "supervised": {"hyperparameters": parameters}},
        "suffix": "by-openai",
        "seed": 7,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", scripted_training_path())
        created = client.post(OPENAI_JOBS, json=asked)
        assert created.status_code == 200, created.text
        wait_for(client, created.json()["id"])
    job: Job = created.json()
    assert (job["object"], job["status"], job["training_file"]) == ("fine_tuning.job", "queued", file_id)
    assert (job["hyperparameters"]["n_epochs"], job["hyperparameters"]["learning_rate_multiplier"]) == (1, 20)
    ended: Job = client.get(f"{OPENAI_JOBS}/{job['id']}").json()
    assert ended["status"] == "succeeded"
    assert ended["fine_tuned_model"].startswith("ft:tiny:by-openai:")
    assert ended["finished_at"] >= ended["created_at"]
    assert (ended["error"], ended["result_files"], ended["validation_file"]) == (None, [], file_id)
    return ended


def _paged(client: httpx2.Client, path: str, limit: int) -> list[Job]:
    """Return all items of a list with cursors."""
    items: list[Job] = []
    more = True
    while more:
        after = {"after": items[-1]["id"]} if items else {}
        page = client.get(path, params={"limit": limit} | after).json()
        assert 0 < len(page["data"]) <= limit
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        items += page["data"]
        more = page["has_more"]
    return items


@pytest.mark.usefixtures("scripted_training", "other_job")
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_lists_of_openais_dialect_end(client: httpx2.Client, openai_job: Job, limit: int) -> None:
    jobs = [job["id"] for job in _paged(client, OPENAI_JOBS, limit)]
    assert jobs == [job["id"] for job in client.get(JOBS).json()["data"]]
    whole = get(client, openai_job["id"])
    path = f"{OPENAI_JOBS}/{openai_job['id']}"
    events = _paged(client, f"{path}/events", limit)
    assert [event["data"] for event in events] == [event["data"] for event in whole["events"]]
    assert len({event["id"] for event in events}) == len(events)
    assert {event["object"] for event in events} == {"fine_tuning.job.event"}
    assert {"The job is SUCCESS", "The job is QUEUED"} <= {event["message"] for event in events}
    checkpoints = _paged(client, f"{path}/checkpoints", limit)
    steps = [checkpoint["step_number"] for checkpoint in whole["checkpoints"]]
    assert [checkpoint["metrics"]["step"] for checkpoint in checkpoints] == steps
    assert {checkpoint["fine_tuned_model_checkpoint"] for checkpoint in checkpoints} == {whole["fine_tuned_model"]}


@pytest.mark.usefixtures("scripted_training")
def test_wrong_cursors_and_jobs_of_openais_dialect_are_refused(
    client: httpx2.Client, openai_job: Job, file_id: str
) -> None:
    path, missing = f"{OPENAI_JOBS}/{openai_job['id']}", "00000000-0000-4000-8000-000000000000"
    for query, status in (
        (f"{OPENAI_JOBS}?after={missing}", 404),
        (f"{OPENAI_JOBS}?limit=0", 400),
        (f"{path}/events?limit=many", 400),
        (f"{path}/checkpoints?after={missing}", 400),
        (f"{OPENAI_JOBS}/{missing}/events", 404),
    ):
        answer = client.get(query)
        assert (answer.status_code, answer.json().keys()) == (status, {"error"}), query
    assert client.post(f"{path}/events").status_code == 405
    asked = {"model": "tiny", "training_file": file_id}
    for changes, param in (
        ({"training_file": missing}, "training_file"),
        ({"hyperparameters": {"batch_size": 8}}, "hyperparameters.batch_size"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters"),
        ({"method": {"type": "dpo", "dpo": {}}}, "method"),
        ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 2}}}}, "method.supervised"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations[0]"),
        ({"suffix": "x" * 30}, "suffix"),
    ):
        answer = client.post(OPENAI_JOBS, json=asked | changes)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"].startswith(param)
