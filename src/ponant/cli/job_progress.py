"""The progress of a fine-tuning job on stderr: a bar and the losses in a terminal, plain lines elsewhere."""

import contextlib
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import click

from ponant.cli.connection import is_terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ponant.models import CheckpointOut, CompletionDetailedJobOut

_STATES = {
    "QUEUED": "Waiting for other jobs",
    "VALIDATING": "Validating the data",
    "VALIDATED": "The data is valid",
    "STARTED": "Waiting for other jobs",
    "RUNNING": "Training",
    "CANCELLATION_REQUESTED": "Cancelling",
    "CANCELLED": "Cancelled",
    "FAILED_VALIDATION": "The data is invalid",
    "FAILED": "Failed",
    "SUCCESS": "Done",
}
_LOADING = "Loading PyTorch and the model"
_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 60


class JobWatcher(Protocol):
    """Shows the progress of a job."""

    def show(self, job: "CompletionDetailedJobOut") -> None:
        """Show a changed job."""
        ...

    def say(self, text: str) -> None:
        """Show one line of text."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of training."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    eta_seconds: int


@contextlib.contextmanager
def showing_job() -> "Iterator[JobWatcher]":
    """Yield a watcher that shows a job on stderr."""
    if not is_terminal(sys.stderr):
        yield _JobLines()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=8) as live:
        yield _JobBar(live)


def progress_of(job: "CompletionDetailedJobOut") -> Progress | None:
    """Return the progress of a job; None if training has not started."""
    data: dict[str, Any] = next((event.data or {} for event in job.events if event.name == "progress"), {})
    try:
        return Progress(
            data["step"], data["steps"], data["loss"], data["tokens_per_second"], data.get("eta_seconds", 0)
        )
    except KeyError:
        return None


def steps_of(job: "CompletionDetailedJobOut") -> int | None:
    """Return the number of steps of a job; None if it has none yet."""
    if job.hyperparameters.training_steps:
        return job.hyperparameters.training_steps
    plan = job.metadata
    if plan and plan.train_tokens and plan.train_tokens_per_step:
        return plan.train_tokens // plan.train_tokens_per_step
    return None


def state_of(job: "CompletionDetailedJobOut") -> str:
    """Return the state of a job for users. While its status is QUEUED, its newest event tells what it waits for."""
    if job.status == "RUNNING" and progress_of(job) is None:
        return _LOADING
    states = (event.data["status"] for event in job.events if event.name == "status-updated" and event.data)
    status = next(states, job.status) if job.status == "QUEUED" else job.status
    return _STATES.get(status, status)


def duration(seconds: float) -> str:
    """Return a duration in seconds as text, such as ``1 min 20 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def curve(values: Sequence[float], width: int = _CURVE_WIDTH) -> str:
    """Return values as a row of block characters, from lowest to highest. A character shows the mean of its values."""
    columns = min(width, len(values))
    edges = [len(values) * column // columns for column in range(columns + 1)] if columns else [0]
    means = [sum(values[begin:end]) / (end - begin) for begin, end in itertools.pairwise(edges)]
    lowest, highest = min(means, default=0), max(means, default=0)
    scale = (len(_BLOCKS) - 1) / (highest - lowest) if highest > lowest else 0
    return "".join(_BLOCKS[round((mean - lowest) * scale)] for mean in means)


def measures(checkpoint: "CheckpointOut") -> str:
    """Return the metrics of a checkpoint as text."""
    metrics = checkpoint.metrics
    known = [
        (metrics.train_loss, "loss {:.3f}"),
        (metrics.valid_loss, "validation loss {:.3f}"),
        (metrics.valid_mean_token_accuracy, "accuracy {:.0%}"),
    ]
    return ", ".join(form.format(value) for value, form in known if value is not None)


class _JobLines:
    """Prints a line for each state and each checkpoint."""

    def __init__(self) -> None:
        self._state = ""
        self._step = 0

    def show(self, job: "CompletionDetailedJobOut") -> None:
        state = state_of(job)
        checkpoints = [checkpoint for checkpoint in job.checkpoints[::-1] if checkpoint.step_number > self._step]
        if checkpoints and self._state != _STATES["RUNNING"]:
            self._say_once(_STATES["RUNNING"])
        for checkpoint in checkpoints:
            self._step = checkpoint.step_number
            self.say(f"Step {self._step}{_of(job)}: {measures(checkpoint)}{_left(job, self._step)}")
        self._say_once(state)

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    def _say_once(self, state: str) -> None:
        if state != self._state:
            self.say(state)
        self._state = state


class _JobBar:
    """Shows a progress bar, the last metrics, and a curve of the losses."""

    def __init__(self, live: Any) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self._live = live
        self._losses: dict[int, float] = {}
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}", markup=False),
            console=live.console,
        )
        self._task = self._bar.add_task("Uploading", total=None, speed="")
        live.update(self._bar)

    def show(self, job: "CompletionDetailedJobOut") -> None:
        from ponant.client.fine_tuning import ENDS

        speed, progress = "", progress_of(job)
        if progress:
            self._losses[progress.step] = progress.loss
            speed = f"{progress.tokens_per_second:,.0f} tokens/s"
            if job.status == "RUNNING":
                speed += f", {duration(progress.eta_seconds)} left"
        total = progress.steps if progress else steps_of(job)
        self._bar.update(self._task, total=total, completed=progress.step if progress else 0)
        state = state_of(job)
        if job.status in ENDS and not self._losses:  # the bar would look as if the job waited
            self._live.update(state)
            return
        self._bar.update(self._task, description=state, speed=speed)
        self._live.update(self._shown(job.checkpoints))

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def _shown(self, checkpoints: "Sequence[CheckpointOut]") -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        losses = list(self._losses.values())
        lines = [f"loss {losses[0]:.3f} {curve(losses)} {losses[-1]:.3f}"] if losses else []
        if checkpoints and checkpoints[0].metrics.valid_loss is not None:
            lines.append(f"step {checkpoints[0].step_number}: {measures(checkpoints[0])}")
        return Group(self._bar, *(Text(line) for line in lines))


def _of(job: "CompletionDetailedJobOut") -> str:
    progress = progress_of(job)
    return f" of {progress.steps}" if progress else ""


def _left(job: "CompletionDetailedJobOut", step: int) -> str:
    progress = progress_of(job)
    unfinished = progress and job.status == "RUNNING" and step < progress.steps
    return f", {duration(progress.eta_seconds)} left" if progress and unfinished else ""
