"""Training processes for tests, and their events."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ponant.training import events
from ponant.training.job import DatasetFile, Hyperparameters, TrainingRun, write_run
from ponant.training.worker import TrainingProcess, run_folder

Event = dict[str, Any]


def conversation(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def write_lines(path: Path, lines: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def describe(
    folder: Path, model: Path, lines: Path | Sequence[DatasetFile], *, cache: Path, **more: Any
) -> TrainingRun:
    """Describe a run on a tiny model, with hyperparameters and other settings by name."""
    names = set(Hyperparameters.__struct_fields__)
    hyperparameters = {"seq_len": 128, **{name: value for name, value in more.items() if name in names}}
    run = TrainingRun(
        model=str(model),
        cache=str(cache),
        training_files=[DatasetFile(str(lines))] if isinstance(lines, Path) else list(lines),
        hyperparameters=Hyperparameters(**hyperparameters),
        threads=1,
        **{name: value for name, value in more.items() if name not in names},
    )
    write_run(run, folder)
    return run


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a training process, with its events on standard output."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "ponant.training.worker", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_WAIT_POLICY": "passive"},
    )


class _Recorder:
    """Events as the parent process reads them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: events.Event) -> None:
        self.events.append(msgspec.json.decode(msgspec.json.encode(event)))


def train(folder: Path, *, dry_run: bool = False) -> tuple[int, list[Event]]:
    """Train in this process; return the exit code and all events."""
    recorder = _Recorder()
    return run_folder(TrainingProcess(folder, [recorder]), folder, dry_run=dry_run), recorder.events


def run_to_end(folder: Path) -> tuple[int, list[Event]]:
    """Train in a separate process; return the exit code and all events."""
    process = start(folder)
    output, errors = process.communicate(timeout=300)
    events = [json.loads(line) for line in output.splitlines()]
    assert events, errors
    return process.returncode, events


def of_kind(events: Iterable[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]
