"""History of a job's losses, from the file of metrics that its training process writes."""

import asyncio
import csv
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ponant.private_files import open_file
from ponant.storage.errors import StorageError

MOST_STEPS = 1000
"""Most steps whose training loss is kept; a longer history is thinned to every second, fourth, ... step."""
_MOST_HISTORIES = 16
_PIECE = 2**20
_METRICS = "metrics.csv"


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses of a job so far.

    Attributes:
        every: distance of the steps in ``train``, except for the last one; 1 for all steps.
        train: pairs of a step and its training loss.
        validation: a step, the validation loss after it, and the share of tokens that were predicted if it is known.
    """

    every: int = 1
    train: Sequence[tuple[int, float]] = ()
    validation: Sequence[tuple[int, float, float | None]] = ()


class LossHistory:
    """Losses in a file of metrics, of which each read takes the new rows only."""

    def __init__(self, path: Path) -> None:
        """Read the file at ``path``, which need not exist yet."""
        self._path = path
        self._begin(None)

    def read(self) -> Losses:
        """Return the losses so far. Blocks. Raises StorageError."""
        try:
            with open_file(self._path, "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._begin(status.st_ino)  # a resumed run writes a new file
                self._read_on(file)
        except FileNotFoundError:
            self._begin(None)
        except OSError as error:
            raise StorageError(f"{self._path} cannot be read: {error.strerror}") from error
        last = [] if self._last is None or (self._train and self._train[-1][0] == self._last[0]) else [self._last]
        return Losses(self._every, [*self._train, *last], list(self._validation))

    def _begin(self, inode: int | None) -> None:
        self._inode = inode
        self._offset = 0
        self._every = 1
        self._train: list[tuple[int, float]] = []
        self._last: tuple[int, float] | None = None
        self._validation: list[tuple[int, float, float | None]] = []

    def _read_on(self, file: BinaryIO) -> None:
        file.seek(self._offset)
        while piece := file.read(_PIECE):
            whole, newline, _ = piece.rpartition(b"\n")  # the last row may not be complete
            if not newline:
                return
            self._offset += len(whole) + 1
            file.seek(self._offset)
            for row in csv.reader(whole.decode().splitlines()):
                self._take(row)

    def _take(self, row: list[str]) -> None:
        try:
            step, train, _, _, valid, accuracy = row
            if train:
                self._add(int(step), float(train))
            elif valid:
                self._validation.append((int(step), float(valid), float(accuracy) if accuracy else None))
        except ValueError:  # the names of the columns
            return
        if len(self._validation) > MOST_STEPS:
            del self._validation[1::2]

    def _add(self, step: int, loss: float) -> None:
        self._last = (step, loss)
        if (step - 1) % self._every == 0:
            self._train.append(self._last)
        if len(self._train) > MOST_STEPS:
            self._every *= 2
            self._train = [kept for kept in self._train if (kept[0] - 1) % self._every == 0]


class LossHistories:
    """The histories of the jobs in a folder; those that were read last are kept in memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, LossHistory] = OrderedDict()
        self._reading = asyncio.Lock()

    async def read(self, folder: Path) -> Losses:
        """Return the losses so far of the job with this folder. Raises StorageError."""
        async with self._reading:
            return await asyncio.to_thread(self._history_of(folder).read)

    def _history_of(self, folder: Path) -> LossHistory:
        path = folder / _METRICS
        history = self._kept.pop(path, None) or LossHistory(path)
        self._kept[path] = history
        while len(self._kept) > _MOST_HISTORIES:
            self._kept.popitem(last=False)
        return history
