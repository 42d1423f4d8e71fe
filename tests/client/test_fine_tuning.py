"""``fine_tuning.jobs`` and ``models`` have the official client's parameters and send them unchanged."""

import asyncio
import inspect
import json
import subprocess
from datetime import UTC, datetime
from typing import Any, assert_type

import httpx2
import pytest

from ponant import Mistral, models
from ponant.client.fine_tuning import FineTuningJobs
from ponant.client.models import Models
from tests.client.test_calls import OFFICIAL
from tests.missing import skip_or_fail

JOBS = ["list", "create", "get", "cancel", "start"]
OF_MODELS = ["delete", "update", "archive", "unarchive"]
NOT_OFFICIAL = {"create": ["dry_run"]}
"""Parameters of the API that the official client lacks."""
TYPES = [
    "ArchiveFTModelOut",
    "CheckpointOut",
    "CompletionDetailedJobOut",
    "CompletionFTModelOut",
    "CompletionJobOut",
    "CompletionTrainingParameters",
    "CompletionTrainingParametersIn",
    "EventOut",
    "FTModelCapabilitiesOut",
    "JobIn",
    "JobMetadataOut",
    "JobsOut",
    "LegacyJobMetadataOut",
    "MetricOut",
    "TrainingFile",
    "UnarchiveFTModelOut",
    "UpdateFTModelIn",
    "WandbIntegration",
    "WandbIntegrationOut",
]
ASK = f"""
import inspect, json, mistralai.models as models
from mistralai.mistral_jobs import MistralJobs
from mistralai.jobs import Jobs
from mistralai.models_ import Models
from mistralai.types import UNSET

def parameters(method):
    found = inspect.signature(method).parameters.values()
    return [[one.name, "UNSET" if one.default == UNSET else repr(one.default), one.kind.name] for one in found]

print(json.dumps({{
    "jobs": {{name: parameters(getattr(Jobs, name)) for name in {JOBS}}},
    "models": {{name: parameters(getattr(Models, name)) for name in {OF_MODELS}}},
    "types": {{name: sorted(getattr(models, name).model_fields) for name in {TYPES}}},
}}))
"""

ID = "7b1f2a52-0000-4000-8000-000000000000"
JOB: dict[str, Any] = {
    "id": ID,
    "auto_start": True,
    "model": "tiny",
    "status": "QUEUED",
    "created_at": 1,
    "modified_at": 1,
    "training_files": [],
    "job_type": "completion",
    "hyperparameters": {"training_steps": 2},
    "mood": "fine",
}


@pytest.fixture(scope="module")
def official() -> Any:
    """Parameters and types of version 1 of the official client, the last with fine-tuning."""
    if not OFFICIAL.exists():
        skip_or_fail("there is no .venv-mistralai1; run: make .venv-mistralai1/.ready")
    result = subprocess.run([str(OFFICIAL), "-c", ASK], capture_output=True, check=True, text=True, timeout=120)
    return json.loads(result.stdout)


@pytest.mark.parametrize("suffix", ["", "_async"])
def test_parameters_are_the_official_clients(official: Any, suffix: str) -> None:
    for kind, ours in (("jobs", FineTuningJobs), ("models", Models)):
        for name, theirs in official[kind].items():
            found = inspect.signature(getattr(ours, name + suffix)).parameters
            told = [[one.name, repr(one.default), one.kind.name] for one in found.values()]
            assert [one for one in told if one[0] not in NOT_OFFICIAL.get(name, [])] == theirs, name


def test_types_are_the_official_clients(official: Any) -> None:
    for name, theirs in official["types"].items():
        assert set(getattr(models, name).model_fields) == set(theirs), name


class Recorder:
    """Client that records its requests and answers them with one job after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.requests: list[httpx2.Request] = []
        self._answers = list(answers)
        transport = httpx2.MockTransport(self._respond)
        self.mistral = Mistral(
            client=httpx2.Client(transport=transport), async_client=httpx2.AsyncClient(transport=transport)
        )

    @property
    def jobs(self) -> FineTuningJobs:
        return self.mistral.fine_tuning.jobs

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return httpx2.Response(200, json=self._answers.pop(0))


def test_only_what_is_given_is_sent() -> None:
    recorder = Recorder(JOB, JOB | {"deprecated": True, "details": "", "object": "job.metadata"})
    job = recorder.jobs.create(model="tiny", hyperparameters={})
    assert_type(job, models.CompletionJobOut)
    assert (job.id, job.model_extra) == (ID, {"mood": "fine"})
    assert json.loads(recorder.requests[0].content) == {
        "model": "tiny",
        "hyperparameters": {},
        "invalid_sample_skip_percentage": 0,
    }
    assert recorder.requests[0].url.query == b""
    plan = recorder.jobs.create(
        model="tiny",
        hyperparameters=models.CompletionTrainingParametersIn(training_steps=2, seq_len=128),
        training_files=[models.TrainingFile(file_id=ID), {"file_id": ID, "weight": 2}],
        validation_files=[ID],
        suffix=None,
        integrations=[models.WandbIntegration(project="ships", api_key="0" * 40)],
        auto_start=False,
        dry_run=True,
    )
    assert_type(plan, models.LegacyJobMetadataOut)
    assert recorder.requests[1].url.query == b"dry_run=true"
    body = json.loads(recorder.requests[1].content)
    assert body["hyperparameters"]["training_steps"] == 2
    assert body["training_files"] == [{"file_id": ID, "weight": 1.0}, {"file_id": ID, "weight": 2}]
    assert body["validation_files"] == [ID]
    assert body["suffix"] is None
    assert body["integrations"] == [{"type": "wandb", "project": "ships", "api_key": "0" * 40}]
    assert body["auto_start"] is False


def test_filters_are_sent() -> None:
    recorder = Recorder({"data": [JOB], "object": "list", "total": 1})
    page = recorder.jobs.list(page_size=5, created_after=datetime(2026, 1, 2, 3, tzinfo=UTC), status="SUCCESS")
    assert [job.id for job in page.data] == [ID]
    assert dict(recorder.requests[0].url.params) == {
        "page": "0",
        "page_size": "5",
        "created_after": "2026-01-02T03:00:00+00:00",
        "created_by_me": "false",
        "status": "SUCCESS",
    }


def test_what_is_to_be_forgotten_of_a_model_is_null() -> None:
    model = {"id": "ft:a:b", "created": 1, "owned_by": "me", "workspace_id": "w", "root": "a", "root_version": "1"}
    recorder = Recorder(model | {"archived": False, "capabilities": {}, "job": ID, "model_type": "completion"})
    recorder.mistral.models.update(model_id="ft:a/b", description=None)
    (request,) = recorder.requests
    assert (request.method, request.url.raw_path) == ("PATCH", b"/v1/fine_tuning/models/ft%3Aa%2Fb")
    assert json.loads(request.content) == {"description": None}


STATES = ["QUEUED", "QUEUED", "RUNNING", "SUCCESS"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_wait_tells_every_change_and_gives_the_job_at_its_end(asynchronous: bool) -> None:
    recorder = Recorder(*[JOB | {"status": state} for state in [*STATES, "never asked for"]])
    seen: list[str] = []

    def note(job: models.CompletionDetailedJobOut) -> None:
        seen.append(job.status)

    if asynchronous:
        job = asyncio.run(recorder.jobs.wait_async(ID, poll_ms=1, on_change=note))
    else:
        job = recorder.jobs.wait(ID, poll_ms=1, on_change=note)
    assert (job.status, seen) == ("SUCCESS", ["QUEUED", "RUNNING", "SUCCESS"])
    assert len(recorder.requests) == len(STATES)


@pytest.mark.parametrize("status", ["FAILED", "FAILED_VALIDATION", "CANCELLED"])
def test_wait_ends_however_the_job_does(status: str) -> None:
    assert Recorder(JOB | {"status": status}).jobs.wait(ID, http_headers={"x": "y"}).status == status
