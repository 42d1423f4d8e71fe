"""What a training process tells: one JSON object a line, each with its ``event``."""

import csv
import os
from pathlib import Path
from typing import Protocol, TextIO

import msgspec

from ponant.training.report import FileReport, Plan


class Phase(msgspec.Struct, frozen=True, tag_field="event", tag="phase"):
    """What begins: ``validating``, ``loading``, ``training`` or ``saving``."""

    name: str


class Validated(msgspec.Struct, frozen=True, tag_field="event", tag="validated"):
    """The dataset is good: what is in its files, in the run's order, and what will be done."""

    training_files: list[FileReport]
    validation_files: list[FileReport]
    plan: Plan


class Metrics(msgspec.Struct, frozen=True):
    """Mean losses per learned token, in nats, and the share of tokens that were the most likely one."""

    train_loss: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None


class Step(msgspec.Struct, frozen=True, tag_field="event", tag="step"):
    """A step is done. ``tokens`` are those of all steps so far; seconds are those of training alone."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    tokens_per_second: float
    eta_seconds: int


class Validation(msgspec.Struct, frozen=True, tag_field="event", tag="validation"):
    """The validation files were measured after a step."""

    step: int
    metrics: Metrics


class Checkpoint(msgspec.Struct, frozen=True, tag_field="event", tag="checkpoint"):
    """A step from which training can be resumed is on disk."""

    step: int
    metrics: Metrics


class Resumed(msgspec.Struct, frozen=True, tag_field="event", tag="resumed"):
    """The run goes on after a step of an earlier process."""

    step: int


class Tracked(msgspec.Struct, frozen=True, tag_field="event", tag="tracked"):
    """Weights & Biases shows the run at an address."""

    url: str


class Stopped(msgspec.Struct, frozen=True, tag_field="event", tag="stopped"):
    """The process was asked to end, and did after a step from which it can be resumed."""

    step: int


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """The adapter is in the folder ``adapter``, in PEFT's format, and in the file ``gguf``, in llama.cpp's."""

    adapter: str
    gguf: str
    steps: int
    trained_tokens: int
    metrics: Metrics


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """The run has ended without a result. ``error`` is one word, ``message`` is for people."""

    error: str
    message: str


Event = Phase | Validated | Step | Validation | Checkpoint | Resumed | Tracked | Stopped | Done | Failed


class Listener(Protocol):
    """Who is told."""

    def tell(self, event: Event) -> None:
        """Something has happened."""
        ...


class LineWriter:
    """Tells in lines of JSON."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def tell(self, event: Event) -> None:
        """Write a line; if nobody reads it any more, end."""
        try:
            self._output.write(msgspec.json.encode(event).decode() + "\n")
            self._output.flush()
        except OSError:
            os._exit(1)


class CsvWriter:
    """Keeps the metrics of a run in a CSV file. A resumed run goes on in it, after the step that it resumes from."""

    _COLUMNS = ("step", "train_loss", "learning_rate", "tokens", "valid_loss", "valid_mean_token_accuracy")

    def __init__(self, path: Path, *, after: int) -> None:
        kept: list[list[str]] = []
        if path.is_file():
            with path.open(newline="") as file:
                whole = [row for row in csv.reader(file) if len(row) == len(self._COLUMNS) and row[0].isdigit()]
            kept = [row for row in whole if int(row[0]) <= after]
        part = path.with_name(f"{path.name}.part")
        with part.open("w", newline="") as file:
            csv.writer(file).writerows([self._COLUMNS, *kept])
        part.replace(path)
        self._path = path

    def tell(self, event: Event) -> None:
        """Add a row for a step, or for a measure on the validation files."""
        match event:
            case Step():
                self._write(event.step, event.loss, event.learning_rate, event.tokens, "", "")
            case Validation(metrics=metrics):
                self._write(event.step, "", "", "", metrics.valid_loss, metrics.valid_mean_token_accuracy)

    def _write(self, *row: float | str | None) -> None:
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow(row)
