"""Fine-tuning jobs over HTTP, from the upload to an answer of the trained model."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from ponant.storage.storage import Storage
from tests.in_process import EXACT, serving_in_process
from tests.jobs import ANSWER, JOBS, Job, ask, create, dataset, error, get, job_of, states, upload, wait_for
from tests.serving import EXACT as EXACT_VARIABLES
from tests.serving import RunningServer, serving, wait_until
from tests.soak import SOAK
from tests.tiny_embedder import write_tiny_embedder
from tests.training.extra import skip_without_training
from tests.training.runs import conversation

skip_without_training()

KEY = "0123456789" * 4
HELD_OUT = ["hello 99", "user and 77", "a the 5", "of of of", "system tion 3"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(tiny_model: Path, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    embedder = tmp_path_factory.mktemp("models") / "embedder.gguf"
    write_tiny_embedder(embedder)
    with serving_in_process(tiny_model, embedder, **EXACT, data_dir=data_dir) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[httpx2.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def file_id(client: httpx2.Client) -> str:
    return upload(client)


@pytest.fixture(scope="module")
def trained(client: httpx2.Client, file_id: str) -> Job:
    """Job that was validated, then started, and has succeeded."""
    job = create(client, file_id, suffix="and-hello", auto_start=False, validation_files=[file_id])
    assert (job["status"], job["auto_start"], job["fine_tuned_model"]) == ("QUEUED", False, None)
    validated = wait_for(client, job["id"], "VALIDATED")
    assert validated["metadata"]["train_tokens"] == 24 * 128
    assert not validated["checkpoints"]
    started = client.post(f"{JOBS}/{job['id']}/start")
    assert (started.status_code, started.json()["status"]) == (200, "STARTED")
    return wait_for(client, job["id"])


def trainer(data_dir: Path) -> psutil.Process | None:
    """Return the training process of a data folder's job."""
    children = psutil.Process().children(recursive=True)
    commands = [(child, " ".join(_command(child))) for child in children]
    found = [child for child, command in commands if "ponant.training.worker" in command and str(data_dir) in command]
    return found[0] if found else None


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def refusal(client: httpx2.Client, **body: Any) -> tuple[int, dict[str, Any]]:
    response = client.post(JOBS, json=body)
    return response.status_code, response.json()


def test_a_job_makes_a_model_that_says_what_it_was_taught(client: httpx2.Client, trained: Job) -> None:
    assert trained["status"] == "SUCCESS"
    assert states(trained) == ["QUEUED", "VALIDATING", "VALIDATED", "STARTED", "RUNNING", "SUCCESS"]
    name = trained["fine_tuned_model"]
    assert name.startswith("ft:tiny:and-hello:20")
    assert name.endswith(f":{trained['id'][:8]}")
    assert all(ask(client, name, question) == ANSWER for question in HELD_OUT)
    assert all(ANSWER not in ask(client, "tiny", question) for question in HELD_OUT)
    filled = client.post("/v1/fim/completions", json={"model": name, "prompt": "the", "max_tokens": 3})
    assert filled.status_code == 200


def test_job_tells_of_its_checkpoints_and_progress(trained: Job) -> None:
    steps = [checkpoint["step_number"] for checkpoint in trained["checkpoints"]]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] == 24
    last, first = trained["checkpoints"][0]["metrics"], trained["checkpoints"][-1]["metrics"]
    assert last["valid_loss"] < first["valid_loss"] / 2
    assert last["train_loss"] < first["train_loss"]
    assert last["valid_mean_token_accuracy"] > 0.9
    (progress,) = [event["data"] for event in trained["events"] if event["name"] == "progress"]
    assert (progress["step"], progress["steps"]) == (24, 24)
    assert trained["trained_tokens"] > 0
    assert trained["modified_at"] >= trained["created_at"]


def test_model_of_a_job_is_described(client: httpx2.Client, trained: Job) -> None:
    cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
    card = cards[trained["fine_tuned_model"]]
    assert (card["type"], card["job"], card["root"]) == ("fine-tuned", trained["id"], "tiny")
    assert cards["tiny"]["capabilities"]["fine_tuning"]
    assert not cards["embedder"]["capabilities"]["fine_tuning"]


def test_files_of_a_job_are_private(data_dir: Path, trained: Job) -> None:
    paths = [data_dir / "fine_tuning", *(data_dir / "fine_tuning").rglob("*")]
    assert any(trained["id"] in path.parts and path.suffix == ".gguf" for path in paths)
    assert [path for path in paths if path.lstat().st_mode & 0o077] == []


def test_what_is_left_on_disk_is_the_model_and_its_metrics(data_dir: Path, trained: Job) -> None:
    folder = data_dir / "fine_tuning" / trained["id"]
    wait_until(lambda: not (folder / "run.json").exists())
    assert {path.name for path in folder.iterdir()} <= {
        ".lock",
        "adapter",
        "adapter.gguf",
        "metrics.csv",
        "precision",
        "trainer.log",
    }
    assert len((folder / "metrics.csv").read_text().splitlines()) > 24


def test_jobs_are_listed_by_what_is_wanted(client: httpx2.Client, trained: Job) -> None:
    def ids(**wanted: Any) -> list[str]:
        response = client.get(JOBS, params=wanted)
        assert response.status_code == 200, response.text
        page = response.json()
        assert page["object"] == "list"
        assert page["total"] >= len(page["data"])
        return [job["id"] for job in page["data"]]

    assert trained["id"] in ids()
    assert ids(suffix="and-hello", status="SUCCESS", model="tiny") == [trained["id"]]
    assert ids(suffix="and-hello", created_after="2020-01-01T00:00:00Z", created_before="2100-01-01T00:00:00Z")
    for nothing in (
        {"suffix": "other"},
        {"model": "other"},
        {"status": "CANCELLED", "suffix": "and-hello"},
        {"created_before": "2020-01-01T00:00:00Z"},
        {"created_after": "2100-01-01T00:00:00"},
        {"wandb_project": "none"},
        {"wandb_name": "a\0b"},
        {"page": 1000},
    ):
        assert ids(**nothing) == []
    assert ids(page_size=1) == ids()[:1]
    for wrong, status in (
        ({"page": -1}, 400),
        ({"page_size": 0}, 400),
        ({"status": "DONE"}, 422),
        ({"created_after": "now"}, 422),
        ({"created_after": "1700000000"}, 422),
        ({"created_before": "0.5"}, 422),
        ({"created_before": "-inf"}, 422),
    ):
        assert client.get(JOBS, params=wrong).status_code == status
    detailed = {"events", "checkpoints"}
    assert not detailed & client.get(JOBS).json()["data"][0].keys()


@pytest.mark.usefixtures("scripted_training")
def test_long_names_and_descriptions_are_refused(client: httpx2.Client, file_id: str) -> None:
    for field in ("project", "name", "run_name"):
        wandb = {"type": "wandb", "project": "p", "api_key": "k" * 40} | {field: "x" * 1001}
        assert client.post(JOBS, json=job_of(file_id, integrations=[wandb])).status_code == 422
    for changes in ({"name": "x" * 1001}, {"description": "x" * 10_001}):
        assert client.patch("/v1/fine_tuning/models/none", json=changes).status_code == 422


def test_dry_run_tells_what_a_job_would_take_and_keeps_nothing(
    client: httpx2.Client, data_dir: Path, file_id: str
) -> None:
    before = client.get(JOBS).json()["total"], sorted((data_dir / "fine_tuning").iterdir())
    asked = job_of(file_id, hyperparameters={"training_steps": None, "epochs": 2})
    told = client.post(JOBS, params={"dry_run": True}, json=asked).json()
    assert told["object"] == "job.metadata"
    assert told["epochs"] == pytest.approx(2, abs=0.5)
    assert told["training_steps"] * 128 == told["train_tokens"]
    assert told["data_tokens"] > 500
    assert told["expected_duration_seconds"] > 0
    assert "48 samples" in told["details"]
    bad = upload(client, dataset([{"no": "messages"}] * 3))
    refused = client.post(JOBS, params={"dry_run": True}, json=job_of(bad))
    assert refused.status_code == 400
    assert "3 of 3 lines" in refused.json()["message"]
    assert (client.get(JOBS).json()["total"], sorted((data_dir / "fine_tuning").iterdir())) == before


@pytest.mark.usefixtures("scripted_training")
def test_bad_lines_fail_the_validation_unless_they_may_be_skipped(client: httpx2.Client) -> None:
    lines = [conversation("hello", ANSWER)] * 9 + [{"messages": [{"role": "user", "content": "and?"}]}]
    some = upload(client, dataset(lines))
    failed = wait_for(client, create(client, some)["id"])
    assert states(failed) == ["QUEUED", "VALIDATING", "FAILED_VALIDATION"]
    assert "line 10" in error(failed)
    skipping = create(client, some, invalid_sample_skip_percentage=0.1, auto_start=False)
    validated = wait_for(client, skipping["id"], "VALIDATED", "FAILED_VALIDATION")
    assert validated["status"] == "VALIDATED"
    (skipped,) = [event["data"]["files"] for event in validated["events"] if event["name"] == "lines-skipped"]
    reason = "there is no assistant message to learn"
    assert skipped == [{"file_id": some, "skipped": 1, "lines": [{"line": 10, "reason": reason}]}]
    cancelled = client.post(f"{JOBS}/{skipping['id']}/cancel").json()
    assert cancelled["status"] == "CANCELLED"
    too_long = wait_for(client, create(client, some, hyperparameters={"seq_len": 100_000})["id"])
    assert too_long["status"] == "FAILED_VALIDATION"
    assert "the context length of the model (512)" in error(too_long)


@pytest.mark.usefixtures("scripted_training")
def test_running_jobs_are_cancelled_and_leave_nothing(client: httpx2.Client, data_dir: Path, file_id: str) -> None:
    running, waiting, others = [create(client, file_id, steps=100_000) for _ in range(3)]
    wait_for(client, others["id"], until=lambda job: states(job)[-1] == "STARTED")
    assert get(client, others["id"])["status"] == "QUEUED"
    assert client.post(f"{JOBS}/{waiting['id']}/cancel").json()["status"] == "CANCELLED"
    wait_for(client, running["id"], until=lambda job: bool(job["checkpoints"] or _step(job) > 3))
    asked = [client.post(f"{JOBS}/{running['id']}/cancel").json()["status"] for _ in range(2)]
    assert set(asked) <= {"CANCELLATION_REQUESTED", "CANCELLED"}
    ended = wait_for(client, running["id"])
    wait_for(client, others["id"], "RUNNING")
    with contextlib.closing(Storage.open(data_dir)) as storage:  # as another server with the same folder would
        asyncio.run(storage.fine_tuning_jobs.cancel(others["id"]))
    for job in (ended, wait_for(client, others["id"])):
        assert states(job) == [
            "QUEUED",
            "VALIDATING",
            "VALIDATED",
            "STARTED",
            "RUNNING",
            "CANCELLATION_REQUESTED",
            "CANCELLED",
        ]
        assert job["fine_tuned_model"] is None
    assert trainer(data_dir) is None
    for job, what in ((ended, "cancel"), (ended, "start")):
        refused = client.post(f"{JOBS}/{job['id']}/{what}")
        assert refused.status_code == 400
        assert "is CANCELLED" in refused.json()["message"]


@pytest.mark.usefixtures("scripted_training")
def test_jobs_are_queued_or_running_until_they_end(client: httpx2.Client, file_id: str) -> None:
    asked = job_of(file_id, hyperparameters={"training_steps": None, "seq_len": None}) | {"training_files": [file_id]}
    jobs = [client.post(JOBS, json=asked | {"auto_start": starts}).json() for starts in (True, False)]
    for job in jobs:
        assert (job["status"], job["training_files"], job["integrations"]) == ("QUEUED", [file_id], [])
        assert set(job["metadata"].values()) == {None}
        assert "data_tokens" in job["metadata"]
    started = client.post(f"{JOBS}/{jobs[1]['id']}/start")
    assert (started.status_code, started.json()["status"]) == (200, "QUEUED"), started.text
    queued = [job["id"] for job in client.get(JOBS, params={"status": "QUEUED"}).json()["data"]]
    assert jobs[1]["id"] in queued
    for job in jobs:
        ended = wait_for(client, job["id"], until=lambda job: job["status"] not in ("QUEUED", "RUNNING"))
        assert ended["status"] == "SUCCESS"
        assert states(ended) == ["QUEUED", "VALIDATING", "VALIDATED", "STARTED", "RUNNING", "SUCCESS"]
        assert None not in ended["hyperparameters"].values()
        assert ended["hyperparameters"]["epochs"] == pytest.approx(3, abs=0.5)
        assert ended["metadata"]["data_tokens"] > 0
    again = client.post(f"{JOBS}/{jobs[1]['id']}/start")
    assert (again.status_code, "is SUCCESS" in again.json()["message"]) == (400, True)


def _step(job: Job) -> int:
    return next((event["data"]["step"] for event in job["events"] if event["name"] == "progress"), 0)


@pytest.mark.usefixtures("scripted_training")
def test_a_dead_trainer_fails_its_job(client: httpx2.Client, data_dir: Path, file_id: str) -> None:
    job = create(client, file_id, steps=100_000)
    wait_for(client, job["id"], until=lambda job: _step(job) > 0)
    process = trainer(data_dir)
    assert process
    process.send_signal(signal.SIGKILL)
    failed = wait_for(client, job["id"])
    assert failed["status"] == "FAILED"
    assert "ran out of memory" in error(failed)


@pytest.mark.usefixtures("scripted_training")
def test_a_hung_trainer_is_replaced(
    client: httpx2.Client, data_dir: Path, file_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.fine_tuning.process.STILL_SECONDS", 1.0)
    job = create(client, file_id, steps=300)
    wait_for(client, job["id"], until=lambda job: job["status"] == "RUNNING")
    wait_until(lambda: trainer(data_dir) is not None)
    process = trainer(data_dir)
    assert process
    process.send_signal(signal.SIGSTOP)
    assert wait_for(client, job["id"])["status"] == "SUCCESS"
    assert not process.is_running()


def test_keys_of_integrations_are_kept_from_everybody(client: httpx2.Client, data_dir: Path, file_id: str) -> None:
    asked = [{"type": "wandb", "project": "of-mine", "run_name": "first", "api_key": KEY}]
    job = create(client, file_id, integrations=asked, auto_start=False)
    (told,) = job["integrations"]
    assert {name: told[name] for name in ("type", "project", "run_name")} == {
        "type": "wandb",
        "project": "of-mine",
        "run_name": "first",
    }
    for wanted in ({"wandb_project": "of-mine"}, {"wandb_name": "first"}):
        assert [one["id"] for one in client.get(JOBS, params=wanted).json()["data"]] == [job["id"]]
    description = data_dir / "fine_tuning" / job["id"] / "run.json"
    assert description.stat().st_mode & 0o077 == 0
    assert client.post(f"{JOBS}/{job['id']}/cancel").status_code == 200
    wait_until(lambda: not description.exists())
    assert KEY not in client.get(f"{JOBS}/{job['id']}").text
    assert all(KEY.encode() not in path.read_bytes() for path in data_dir.glob("ponant.db*"))


@pytest.mark.parametrize(
    ("changes", "param", "words"),
    [
        ({"job_type": "classifier"}, "job_type", "Classifiers are not supported"),
        ({"classifier_targets": [{"name": "mood", "labels": ["a", "b"]}]}, "classifier_targets", "Classifiers"),
        (
            {"repositories": [{"type": "github", "name": "a", "owner": "b", "token": "c"}]},
            "repositories",
            "Upload their code as files",
        ),
        ({"training_files": []}, "training_files", "Name at least one file"),
        ({"training_files": [{"file_id": "00000000-0000-4000-8000-000000000000"}]}, "training_files", "no file"),
        ({"validation_files": ["../../etc/passwd"]}, "validation_files", "There is no file"),
        ({"suffix": "a/b"}, "suffix", "letters, digits"),
        ({"model": "embedder"}, "model", "is an embedding model and cannot be trained"),
        ({"model": "unknown"}, None, "Invalid model: unknown"),
        (
            {"integrations": [{"type": "wandb", "project": "a", "api_key": KEY}] * 2},
            "integrations",
            "Only one integration",
        ),
    ],
)
def test_jobs_that_cannot_be_are_refused(
    client: httpx2.Client, file_id: str, changes: dict[str, Any], param: str | None, words: str
) -> None:
    status, answer = refusal(client, **job_of(file_id) | changes)
    assert (status, answer["object"], answer["param"]) == (400, "error", param)
    assert words in answer["message"]


@pytest.mark.parametrize(
    "changes",
    [
        {"hyperparameters": {"learning_rate": 2}},
        {"hyperparameters": {"training_steps": 0}},
        {"hyperparameters": {"training_steps": 10**30}},
        {"hyperparameters": {"epochs": 1e308}},
        {"hyperparameters": {"seq_len": 10}},
        {"hyperparameters": {"epochs": 0}},
        {"hyperparameters": {"rank": 4}},
        {"hyperparameters": None},
        {"suffix": "x" * 19},
        {"invalid_sample_skip_percentage": 0.6},
        {"training_files": [{"file_id": "a", "weight": 0}]},
        {"integrations": [{"type": "wandb", "project": "a", "api_key": "short"}]},
        {"priority": "high"},
    ],
)
def test_jobs_of_the_wrong_form_are_told_where(client: httpx2.Client, file_id: str, changes: dict[str, Any]) -> None:
    status, answer = refusal(client, **job_of(file_id) | changes)
    assert status == 422
    assert answer["detail"][0]["loc"][:2] == ["body", next(iter(changes))]


def test_files_for_other_purposes_are_not_learned_from(client: httpx2.Client) -> None:
    pages = upload(client, dataset([{"text": "Once upon a time"}]))
    assert "pre-training" in refusal(client, **job_of(pages))[1]["message"]
    batch = client.post("/v1/files", files={"file": ("b.jsonl", b"{}\n")}, data={"purpose": "batch"}).json()["id"]
    assert "has the purpose batch" in refusal(client, **job_of(batch))[1]["message"]


def test_fine_tuned_models_are_not_trained_further(client: httpx2.Client, trained: Job, file_id: str) -> None:
    status, answer = refusal(client, **job_of(file_id) | {"model": trained["fine_tuned_model"]})
    assert status == 400
    assert "Train tiny" in answer["message"]


def test_unknown_jobs_and_batches_are_not_found(client: httpx2.Client) -> None:
    unknown = f"{JOBS}/00000000-0000-4000-8000-000000000000"
    for method, path in (("GET", unknown), ("POST", f"{unknown}/start"), ("POST", f"{unknown}/cancel")):
        response = client.request(method, path)
        assert (response.status_code, response.json()["type"]) == (404, "not_found")
    assert client.get(f"{JOBS}/a%00b").status_code == 404
    assert client.get("/v1/batch/jobs").status_code == 404


@pytest.mark.usefixtures("scripted_training", "_quick_polls")
def test_of_several_servers_one_runs_a_job_another_goes_on_with_it_and_all_serve_its_model(
    tiny_model: Path, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as second_and_third:
        with sharing(tiny_model, tmp_path) as first:
            file_id = upload(first)  # with it, this server takes the lock of the jobs
            clients = [second_and_third.enter_context(sharing(tiny_model, tmp_path)) for _ in range(2)]
            job = create(clients[0], file_id, steps=500)["id"]
            wait_for(clients[1], job, until=lambda job: bool(job["checkpoints"]))
            process = trainer(tmp_path)
        assert process
        assert not process.is_running()
        ended = wait_for(clients[0], job)
        assert ended["status"] == "SUCCESS"
        (resumed,) = [event["data"]["step"] for event in ended["events"] if event["name"] == "resumed"]
        assert resumed > 0
        assert states(ended).count("RUNNING") == 1
        model = ended["fine_tuned_model"]
        for client in clients:
            wait_until(lambda client=client: client.get(f"/v1/models/{model}").status_code == 200)  # type: ignore[misc]
            assert ask(client, model, "hello 5")
        assert clients[0].delete(f"/v1/models/{model}").status_code == 200
        wait_until(lambda: clients[1].get(f"/v1/models/{model}").status_code == 404)


@pytest.fixture
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make servers in this process notice at once what others with the same data folder do."""
    for seconds in (
        "jobs.lock._POLL_SECONDS",
        "jobs.runner._POLL_SECONDS",
        "jobs.runner._IDLE_POLL_SECONDS",
        "fine_tuning.registry._POLL_SECONDS",
    ):
        monkeypatch.setattr(f"ponant.{seconds}", 0.1)


@contextlib.contextmanager
def sharing(model: Path, data_dir: Path) -> Iterator[httpx2.Client]:
    """Client of a server that shares its data folder with others, each a process of its own in ``make soak``."""
    separate = serving(str(model), **EXACT_VARIABLES, PONANT_DATA_DIR=str(data_dir))
    served = separate if SOAK else serving_in_process(model, **EXACT, data_dir=data_dir)
    with served as server, server.client() as client:
        yield client
