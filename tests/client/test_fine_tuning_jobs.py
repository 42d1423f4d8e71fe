"""Fine-tuning jobs and their models through the client, in every way, on shared servers.

The training itself is scripted.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ponant import Mistral, models
from tests.client.calls import NO_FILE, USER
from tests.client.ways import WAYS, Way
from tests.serving import wait_until
from tests.training.extra import skip_without_training
from tests.training.runs import conversation

skip_without_training()
pytestmark = pytest.mark.usefixtures("scripted_training")

TWO_WAYS = pytest.mark.parametrize("way", [WAYS[0], WAYS[3]], indirect=True)
"""Sync over HTTP, and async in-process: the start of a training process takes a second."""
MODEL = "tiny"
LINES = "".join(json.dumps(conversation(f"Say {number}.", "the hello and")) + "\n" for number in range(8)).encode()
SHORT = {"training_steps": 1, "seq_len": 128}
LONG = {"training_steps": 100_000, "seq_len": 128}


@pytest.fixture
def dataset(way: Way) -> Iterator[str]:
    """Id of a small training file."""
    file = way.call("files.upload", file={"file_name": "train.jsonl", "content": LINES})
    yield file.id
    way.call("files.delete", file_id=file.id)


def job(dataset: str, **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "hyperparameters": SHORT, "training_files": [{"file_id": dataset}]} | fields


@TWO_WAYS
def test_dry_run_says_what_a_job_would_take(way: Way, dataset: str) -> None:
    before = listed(way)
    plan = way.call("fine_tuning.jobs.create", **job(dataset), dry_run=True)
    assert isinstance(plan, models.LegacyJobMetadataOut)
    assert (plan.training_steps, plan.train_tokens_per_step) == (1, 128)
    assert plan.expected_duration_seconds is not None
    assert listed(way) == before


@TWO_WAYS
def test_job_waits_for_its_start_is_listed_and_can_be_cancelled(way: Way, dataset: str) -> None:
    suffix = f"{'async' if way.asynchronous else 'sync'}-{'here' if way.in_process else 'http'}"
    created = way.call(
        "fine_tuning.jobs.create",
        **job(dataset, hyperparameters=LONG),
        validation_files=[dataset],
        suffix=suffix,
        auto_start=False,
        integrations=[{"type": "wandb", "project": f"project-{suffix}", "name": "one", "api_key": "k" * 40}],
    )
    assert isinstance(created, models.CompletionJobOut)
    assert (created.model, created.training_files, created.validation_files) == (MODEL, [dataset], [dataset])
    wait_until(lambda: bool(look(way, created.id).status == "VALIDATED"))
    found = look(way, created.id)
    assert found.metadata
    assert found.metadata.train_tokens
    told = [event.data["status"] for event in found.events if event.data and "status" in event.data]
    assert told == ["VALIDATED", "VALIDATING", "QUEUED"]

    this = [created.id]
    assert listed(way, suffix=suffix) == this
    assert listed(way, model=MODEL, status="VALIDATED", wandb_project=f"project-{suffix}", wandb_name="one") == this
    begun = datetime.fromtimestamp(created.created_at, UTC)
    hour = timedelta(hours=1)
    assert listed(way, suffix=suffix, created_after=begun - hour, created_before=begun + hour) == this
    assert listed(way, suffix=suffix, created_after=begun + hour) == []
    assert listed(way, suffix=suffix, status="SUCCESS") == []
    assert listed(way, suffix=suffix, page=1) == []
    assert way.call("fine_tuning.jobs.list", suffix=suffix, page_size=1).total == 1

    assert way.call("fine_tuning.jobs.start", job_id=created.id).status == "STARTED"
    assert way.call("fine_tuning.jobs.cancel", job_id=created.id).status in ("CANCELLATION_REQUESTED", "CANCELLED")
    seen: list[str] = []
    ended = way.call(
        "fine_tuning.jobs.wait", job_id=created.id, poll_ms=50, on_change=lambda job: seen.append(job.status)
    )
    assert ended.status == seen[-1] == "CANCELLED"
    with pytest.raises(models.SDKError, match="CANCELLED already and cannot be cancelled"):
        way.call("fine_tuning.jobs.cancel", job_id=created.id)
    with pytest.raises(models.SDKError, match="can be started"):
        way.call("fine_tuning.jobs.start", job_id=created.id)


def look(way: Way, job_id: str) -> models.CompletionDetailedJobOut:
    found = way.call("fine_tuning.jobs.get", job_id=job_id)
    assert isinstance(found, models.CompletionDetailedJobOut)
    return found


def listed(way: Way, **filters: Any) -> list[str]:
    page: models.JobsOut = way.call("fine_tuning.jobs.list", **filters)
    return [job.id for job in page.data]


@pytest.mark.parametrize(
    ("operation", "fields", "status"),
    [
        ("fine_tuning.jobs.get", {"job_id": NO_FILE}, 404),
        ("fine_tuning.jobs.start", {"job_id": NO_FILE}, 404),
        ("fine_tuning.jobs.cancel", {"job_id": "no/such job"}, 404),
        ("fine_tuning.jobs.wait", {"job_id": NO_FILE}, 404),
        ("fine_tuning.jobs.list", {"page_size": 0}, 400),
        ("fine_tuning.jobs.list", {"status": "DONE"}, 422),
        ("fine_tuning.jobs.create", job(NO_FILE), 400),
        ("fine_tuning.jobs.create", job(NO_FILE, model="no-such-model"), 400),
        ("fine_tuning.jobs.create", job(NO_FILE, job_type="classifier"), 400),
        ("fine_tuning.jobs.create", job(NO_FILE, hyperparameters={"training_steps": 0}), 422),
        ("models.update", {"model_id": "ft:no:such", "name": "a"}, 404),
        ("models.archive", {"model_id": "ft:no:such"}, 404),
        ("models.unarchive", {"model_id": "ft:no:such"}, 404),
    ],
)
def test_what_cannot_be_is_refused(way: Way, operation: str, fields: dict[str, Any], status: int) -> None:
    with pytest.raises(models.MistralError) as raised:
        way.call(operation, **fields)
    assert raised.value.status_code == status
    assert isinstance(raised.value, models.HTTPValidationError) == (status == 422)


@pytest.fixture
def ways(in_process: Mistral) -> list[Way]:
    """Both ways to call a server in this process. Other tests train over HTTP."""
    return [Way(in_process, asynchronous, in_process=True) for asynchronous in (False, True)]


def test_trained_model_answers_is_described_archived_and_deleted(ways: list[Way]) -> None:
    sync = ways[0]
    dataset = sync.call("files.upload", file={"file_name": "train.jsonl", "content": LINES}).id
    created = sync.call("fine_tuning.jobs.create", **job(dataset), suffix="kept")
    ended: models.CompletionDetailedJobOut = sync.call("fine_tuning.jobs.wait", job_id=created.id, poll_ms=50)
    sync.call("files.delete", file_id=dataset)
    assert (ended.status, [checkpoint.step_number for checkpoint in ended.checkpoints]) == ("SUCCESS", [1])
    name = ended.fine_tuned_model
    assert name is not None
    assert name.startswith(f"ft:{MODEL}:kept:")

    question = {"model": name, "messages": [USER], "max_tokens": 3}
    for way in ways:
        assert way.call("chat.complete", **question).model == name
        card = way.call("models.retrieve", model_id=name)
        assert isinstance(card, models.FTModelCard)
        assert (card.job, card.root, card.archived) == (ended.id, MODEL, False)

        called = "async" if way.asynchronous else "sync"
        updated: models.CompletionFTModelOut = way.call("models.update", model_id=name, name=called)
        assert (updated.id, updated.name, updated.job) == (name, called, ended.id)
        assert way.call("models.update", model_id=name, description="A test.").name == called

        assert way.call("models.archive", model_id=name).archived
        assert way.call("models.retrieve", model_id=name).archived
        with pytest.raises(models.SDKError, match="archived"):
            way.call("chat.complete", **question)
        assert not way.call("models.unarchive", model_id=name).archived
        assert way.call("chat.complete", **question).model == name

    assert ways[1].call("models.delete", model_id=name).deleted
    for way in ways:
        with pytest.raises(models.SDKError, match="404"):
            way.call("models.delete", model_id=name)
        assert name not in [card.id for card in way.call("models.list").data]
