"""Recorders of a training process's events: JSON lines for the parent process, and a CSV file."""

import csv
import os
from pathlib import Path
from typing import Protocol, TextIO

import msgspec

from ponant.private_files import opener
from ponant.training.events import Event, TrainingStep, Validation


class EventRecorder(Protocol):
    """Records the events of a training process."""

    def record(self, event: Event) -> None:
        """Record an event."""
        ...


class LineRecorder:
    """Writes events as lines of JSON."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def record(self, event: Event) -> None:
        """Write a line. Ends the process if the reader is gone."""
        try:
            self._output.write(msgspec.json.encode(event).decode() + "\n")
            self._output.flush()
        except OSError:
            os._exit(1)


class CsvRecorder:
    """Writes the metrics of a run to a CSV file. A resumed run replaces the rows after its checkpoint."""

    _COLUMNS = ("step", "train_loss", "learning_rate", "tokens", "valid_loss", "valid_mean_token_accuracy")

    def __init__(self, path: Path, *, after: int) -> None:
        kept: list[list[str]] = []
        if path.is_file():
            with path.open(newline="") as file:
                whole = [row for row in csv.reader(file) if len(row) == len(self._COLUMNS) and row[0].isdigit()]
            kept = [row for row in whole if int(row[0]) <= after]
        part = path.with_name(f"{path.name}.part")
        with open(part, "w", newline="", opener=opener) as file:
            csv.writer(file).writerows([self._COLUMNS, *kept])
        part.replace(path)
        self._path = path

    def record(self, event: Event) -> None:
        """Append a row for a step or a validation."""
        match event:
            case TrainingStep():
                self._write(event.step, event.loss, event.learning_rate, event.tokens, "", "")
            case Validation(metrics=metrics):
                self._write(event.step, "", "", "", metrics.valid_loss, metrics.valid_mean_token_accuracy)

    def _write(self, *row: float | str | None) -> None:
        with open(self._path, "a", newline="", opener=opener) as file:
            csv.writer(file).writerow(row)
