"""The progress of downloads on stderr: a bar in a terminal, plain lines elsewhere."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ponant.sizes import megabytes

if TYPE_CHECKING:
    from rich.progress import Progress

    from ponant.weights.attempts import Watcher

_STEP = 10
"""Progress between two lines, in per cent."""


@contextlib.contextmanager
def showing_progress() -> "Iterator[Watcher]":
    """Yield a watcher that shows downloads on stderr."""
    if not sys.stderr.isatty():
        yield _DownloadLines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    ]
    progress = Progress(*columns, console=Console(stderr=True))
    try:
        yield _DownloadBars(progress)
    finally:
        progress.stop()


class _DownloadBars:
    """Shows a bar for each file."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task = progress.add_task("", visible=False)

    def begin(self, name: str, size: int, done: int) -> None:
        self._progress.start()
        self._task = self._progress.add_task(name, total=size, completed=done)

    def advance(self, done: int) -> None:
        self._progress.update(self._task, completed=done)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


class _DownloadLines:
    """Prints a line for each tenth of a file."""

    def __init__(self) -> None:
        self._name = ""
        self._size = self._shown = 0

    def begin(self, name: str, size: int, done: int) -> None:
        self._name, self._size, self._shown = name, size, self._percent(done, size)
        received = f", {self._shown} % received" if done else ""
        self.say(f"Downloading {name} ({megabytes(size)}{received})")

    def advance(self, done: int) -> None:
        percent = self._percent(done, self._size)
        if percent < self._shown or percent >= self._shown + _STEP:
            self._shown = percent - percent % _STEP
            self.say(f"{self._name}: {percent} %")

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    def _percent(self, done: int, size: int) -> int:
        return 100 * done // size if size else 100
