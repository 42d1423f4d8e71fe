"""Runs recorded at Weights & Biases: the real package, without its server."""

import csv
import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from ponant.training import events
from ponant.training.job import Wandb
from ponant.training.worker import TrainingProcess, run_folder
from tests.training.extra import skip_without_training
from tests.training.runs import conversation, describe, of_kind, run_to_end, start, train, write_lines
from tests.training.wandb_runs import read_history, stand_in

skip_without_training("wandb")

KEY = "0123456789" * 4
STEPS = 8


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Describe a run to be recorded, with a home folder without a login."""
    lines = write_lines(tmp_path / "lines.jsonl", [conversation(f"hello {number}", "the and") for number in range(30)])
    folder = tmp_path / "run"
    integration = Wandb(project="letters", run_name="first", api_key=KEY)
    options: dict[str, Any] = {"training_steps": STEPS, "checkpoint_every": 3, "validation_files": [str(lines)]}
    describe(folder, tiny_model, lines, cache=cache, wandb=integration, name="tiny", **options)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


def rows(folder: Path) -> dict[int, dict[str, float]]:
    """Return the metrics in the CSV file by step."""
    found: dict[int, dict[str, float]] = {}
    with (folder / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            values = {name: float(value) for name, value in row.items() if value and name != "step"}
            found.setdefault(int(row["step"]), {}).update(values)
    return found


def kept_elsewhere(folder: Path) -> list[Path]:
    """Return the files with the key, except the description of the run, and the files in the home folder."""
    files = [path for path in folder.parent.rglob("*") if path.is_file() and path.name != "run.json"]
    return [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_run_that_is_kept_offline_has_the_metrics_of_the_csv_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")

    status, events = train(folder)

    assert status == 0, events[-1]
    assert events[-1]["event"] == "done"
    assert not of_kind(events, "tracked")
    kept = read_history(folder)
    assert list(kept) == list(range(1, STEPS + 1))
    assert kept == rows(folder)
    assert not kept_elsewhere(folder)


@pytest.mark.usefixtures("scripted_training")
def test_a_run_that_was_killed_goes_on_in_the_same_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    process = start(folder)
    assert process.stdout
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["step"] == 5:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.communicate()

    status, events = run_to_end(folder)

    assert status == 0
    (resumed,) = of_kind(events, "resumed")
    names = [path.name for path in folder.glob("wandb/*run-2*/*.wandb")]
    assert len(names) == 2
    assert len(set(names)) == 1  # files are named after the run
    kept = read_history(folder)
    assert list(rows(folder)) == list(range(1, STEPS + 1))
    assert kept == {step: rows(folder)[step] for step in kept}  # the last second before a kill may be missing
    assert kept.keys() >= set(range(resumed["step"] + 1, STEPS + 1))


@pytest.mark.usefixtures("scripted_training")
def test_a_run_goes_on_when_the_helper_of_the_package_dies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    process = start(folder)
    assert process.stdout
    events = []
    for line in process.stdout:
        events.append(json.loads(line))  # the package writes nothing to standard output
        if events[-1]["event"] == "step" and events[-1]["step"] == 3:
            for child in psutil.Process(process.pid).children():
                child.kill()
    process.communicate()

    assert process.returncode == 0
    assert events[-1]["event"] == "done"
    assert list(rows(folder)) == list(range(1, STEPS + 1))


def test_a_run_that_is_disabled_leaves_no_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")

    status, events = train(folder)

    assert status == 0, events[-1]
    assert not (folder / "wandb").exists()


def failure(folder: Path) -> str:
    """Return the message of a run that fails before the model is loaded."""
    status, events = train(folder)
    assert status == 1
    assert [event["name"] for event in of_kind(events, "phase")] == ["validating", "loading"]
    assert events[-1]["error"] == "wandb"
    assert not _helpers()
    message: str = events[-1]["message"]
    return message


def _helpers() -> list[str]:
    """Return the processes of the package."""
    children = psutil.Process().children(recursive=True)
    return [child.name() for child in children if child.name().startswith("wandb")]


def test_a_key_that_is_refused_fails_the_run_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in(refuses=True) as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        assert "refuses the api_key. Create a new one" in failure(folder)


def test_a_server_that_cannot_be_reached_fails_the_run_soon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setattr("ponant.training.wandb_recorder._START_TIMEOUT", 2)
    assert "WANDB_MODE=offline" in failure(folder)


def test_a_run_that_is_online_is_told_where_and_ends_well_without_the_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.training.wandb_recorder._FINISH_TIMEOUT", 2)
    told: list[events.Event] = []
    with ExitStack() as network:
        server = network.enter_context(stand_in())
        monkeypatch.setenv("WANDB_BASE_URL", server.url)

        class LosesTheNetwork:
            def record(self, event: events.Event) -> None:
                told.append(event)
                if isinstance(event, events.TrainingStep) and event.step == 3:
                    network.close()

        status = run_folder(TrainingProcess(folder, [LosesTheNetwork()]), folder)

    assert status == 0
    (tracked,) = [event for event in told if isinstance(event, events.Tracked)]
    run = (folder / "wandb-id").read_text()
    assert tracked.url.endswith(f"/someone/letters/runs/{run}")
    (begun,) = [asked["variables"] for asked in server.asked if "UpsertBucket" in asked.get("query", "")][:1]
    assert begun["project"] == "letters"
    assert begun["displayName"] == "first"
    assert json.loads(begun["config"])["model"]["value"] == "tiny"
    assert isinstance(told[-1], events.Done)
    assert list(rows(folder)) == list(read_history(folder)) == list(range(1, STEPS + 1))
    assert not _helpers()
    assert not kept_elsewhere(folder)
