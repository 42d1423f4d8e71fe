"""``ponant finetune``."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponant.cli.api_key import exposure
from ponant.cli.connection import ModelConnection, connect
from ponant.cli.errors import fail
from ponant.cli.job_progress import JobWatcher, duration, showing_job
from ponant.cli.request_options import TRAINING

if TYPE_CHECKING:
    from ponant import Mistral
    from ponant.models import CompletionDetailedJobOut, LegacyJobMetadataOut

_POLL_MS = 500
_AHEAD = ("QUEUED", "VALIDATING", "STARTED", "RUNNING", "CANCELLATION_REQUESTED")
"""States of jobs that run before a new one."""
_KEY_LENGTH = 40
_INTERRUPTED = 130


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "-m",
    "--model",
    help="Served model, or a source as for `ponant serve`.  [default: the first trainable one]",
)
@click.option(
    "--validation",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File of validation samples. Repeatable.",
)
@click.option("--suffix", metavar="TEXT", help="Part of the new model's id.")
@click.option("--steps", "training_steps", type=int, metavar="N", help="Number of steps; overrides --epochs.")
@click.option("--epochs", type=float, metavar="N", help="Number of passes over the samples.  [default: 3]")
@click.option("--learning-rate", type=float, metavar="N", help="Peak learning rate.  [default: 0.0001]")
@click.option("--seq-len", type=int, metavar="N", help="Length of training sequences in tokens.  [default: 512]")
@click.option(
    "--fim-ratio",
    type=float,
    metavar="N",
    help="Share of code samples trained as fill-in-the-middle; the others are continued.  [default: 0.9]",
)
@click.option(
    "--skip-invalid",
    type=click.FloatRange(0, 50),
    default=0,
    metavar="PERCENT",
    help="Skip invalid lines, up to PERCENT of all lines.  [default: 0]",
)
@click.option("--wandb-project", metavar="NAME", help="Log metrics to Weights & Biases; the API key is WANDB_API_KEY.")
@click.option("--dry-run", is_flag=True, help="Check the files and estimate the duration, without training.")
@click.option("--json", "as_json", is_flag=True, help="Print the finished job as JSON, for scripts.")
@click.option(
    "--server-url",
    "--url",
    metavar="URL",
    help="URL of the server.  [default: PONANT_URL, or a local server]",
)
@click.option("--local", is_flag=True, help="Train in this process, even if a server is running.")
def finetune(
    *,
    files: tuple[Path, ...],
    model: str | None,
    validation: tuple[Path, ...],
    suffix: str | None,
    skip_invalid: float,
    wandb_project: str | None,
    dry_run: bool,
    as_json: bool,
    server_url: str | None,
    local: bool,
    **hyperparameters: float | None,
) -> None:
    """Fine-tune a model on the samples in FILEs.

    FILEs are JSON Lines in the format of the fine-tuning API: conversations with `messages`, or code with `prompt`,
    `suffix` and `completion`. The result is a new model, which is served in addition to its base model.

    The job runs on a running server, or else in this process. Ctrl-C cancels it. If the server or this process is
    killed, the job resumes the next time that `ponant` runs with the same data folder. The API key is PONANT_API_KEY
    or MISTRAL_API_KEY.

    \b
    Examples:
      ponant finetune data.jsonl --model smollm2
      ponant finetune data.jsonl --model smollm2 --dry-run
      ponant finetune a.jsonl b.jsonl --validation held-out.jsonl --steps 200 --suffix my-form
    """  # noqa: D301 - the backspace stops click from rewrapping
    from ponant.cli.advice import explained
    from ponant.client.errors import ClientError

    _check_files([*files, *validation])
    asked: dict[str, Any] = {
        "hyperparameters": {name: value for name, value in hyperparameters.items() if value is not None},
        "invalid_sample_skip_percentage": skip_invalid / 100,
    }
    if suffix is not None:
        asked["suffix"] = suffix
    if wandb_project is not None:
        asked["integrations"] = [{"type": "wandb", "project": wandb_project, "api_key": _wandb_key()}]
    try:
        with connect(server_url, model, local=local) as connection:
            if wandb_project is not None and connection.server_url and (reason := exposure(connection.server_url)):
                fail(reason)
            asked["model"] = connection.model or _first_model(connection.mistral)
            dataset = _Dataset(connection.mistral, files, validation)
            if dry_run:
                _print_plan(_plan(connection.mistral, dataset, asked), as_json=as_json)
                return
            with showing_job() as watcher:
                job = _train(connection.mistral, dataset, asked, watcher)
            if as_json:
                click.echo(job.model_dump_json(exclude_unset=True))
            elif job.status == "SUCCESS":
                _print_result(str(job.fine_tuned_model), connection, model)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except ClientError as error:
        fail(explained(error, TRAINING), code=1)
    if job.status != "SUCCESS":
        sys.exit(_INTERRUPTED if job.status == "CANCELLED" else 1)


def _check_files(files: Sequence[Path]) -> None:
    for file in files:
        try:
            file.open("rb").close()
        except OSError as error:
            fail(f"cannot read {file}: {error.strerror}")


def _wandb_key() -> str:
    key = os.environ.get("WANDB_API_KEY", "")
    if len(key) != _KEY_LENGTH:
        fail(f"--wandb-project needs WANDB_API_KEY, your API key of Weights & Biases ({_KEY_LENGTH} characters)")
    return key


def _first_model(mistral: "Mistral") -> str:
    """Return the first model that supports fine-tuning, or else the first model; the server then reports the reason."""
    cards = mistral.models.list().data
    return next((card.id for card in cards if card.capabilities.fine_tuning), cards[0].id)


@dataclass
class _Dataset:
    """Training and validation files, on this machine and on the server."""

    mistral: "Mistral"
    training: Sequence[Path]
    validation: Sequence[Path]
    uploaded: list[str] = field(default_factory=list)

    def upload(self) -> dict[str, Any]:
        """Upload the files and return the fields of a job that refer to them."""
        from ponant.cli.advice import explained
        from ponant.client.errors import MistralError

        for file in (*self.training, *self.validation):
            try:
                self.uploaded.append(self.mistral.files.upload(file=file, purpose="fine-tune").id)
            except MistralError as error:
                fail(f"{file}: {explained(error, TRAINING)}", code=1)
        training, validation = self.uploaded[: len(self.training)], self.uploaded[len(self.training) :]
        fields: dict[str, Any] = {"training_files": [{"file_id": name} for name in training]}
        return fields | ({"validation_files": validation} if validation else {})

    def delete(self) -> None:
        """Delete the files on the server. Errors are ignored."""
        from ponant.client.errors import ClientError

        for name in self.uploaded:
            with suppress(ClientError):
                self.mistral.files.delete(file_id=name)

    def with_local_names(self, message: str) -> str:
        """Replace the file ids in a message of the server by local file names."""
        for name, file in zip(self.uploaded, (*self.training, *self.validation), strict=True):
            message = message.replace(name, str(file))
        return message


def _plan(mistral: "Mistral", dataset: _Dataset, asked: dict[str, Any]) -> "LegacyJobMetadataOut":
    """Return the estimate of a job. Uploaded files are deleted."""
    from ponant.cli.advice import explained
    from ponant.client.errors import MistralError

    try:
        files = dataset.upload()
        click.echo("Validating the data", err=True)
        return mistral.fine_tuning.jobs.create(**asked, **files, dry_run=True)
    except MistralError as error:
        fail(dataset.with_local_names(explained(error, TRAINING)), code=1)
    finally:
        dataset.delete()


def _train(
    mistral: "Mistral", dataset: _Dataset, asked: dict[str, Any], watcher: JobWatcher
) -> "CompletionDetailedJobOut":
    """Run a job and return it at its end. Uploaded files are deleted only if the job was not created."""
    from ponant.cli.advice import explained, with_options
    from ponant.client.errors import MistralError

    try:
        job = mistral.fine_tuning.jobs.create(**asked, **dataset.upload())
    except MistralError as error:
        dataset.delete()
        fail(dataset.with_local_names(explained(error, TRAINING)), code=1)
    except BaseException:
        dataset.delete()
        raise
    ended = _wait(mistral, job.id, watcher)
    for event in ended.events:
        if event.data and "error" in event.data:
            watcher.say(f"ponant: {dataset.with_local_names(with_options(event.data['error'], TRAINING))}")
    return ended


def _wait(mistral: "Mistral", job_id: str, watcher: JobWatcher) -> "CompletionDetailedJobOut":
    """Return a job at its end. The first Ctrl-C cancels the job, the second one stops waiting."""
    from ponant import utils
    from ponant.client.errors import NoResponseError, SDKError

    jobs = mistral.fine_tuning.jobs
    restarts = utils.RetryConfig("backoff", utils.BackoffStrategy(500, 2000, 1.5, 60_000), retry_connection_errors=True)
    try:
        for job in jobs.list().data:
            if job.id != job_id and job.status in _AHEAD:
                watcher.say(f"Job {job.id} ({job.status}) runs first.")
        return jobs.wait(job_id, poll_ms=_POLL_MS, on_change=watcher.show, retries=restarts)
    except KeyboardInterrupt:
        watcher.say("Cancelling the job. Press Ctrl-C again to stop waiting.")
        with suppress(SDKError):  # the job has just ended
            jobs.cancel(job_id=job_id)
        return jobs.wait(job_id, poll_ms=_POLL_MS, on_change=watcher.show)
    except NoResponseError:
        watcher.say(f"The job {job_id} resumes when its server runs again.")
        raise


def _print_plan(plan: "LegacyJobMetadataOut", *, as_json: bool) -> None:
    """Print the estimate of a job."""
    if as_json:
        click.echo(plan.model_dump_json(exclude_unset=True))
        return
    click.echo(plan.details)
    rows = [
        ("epochs", plan.epochs, "{:.3g}"),
        ("steps", plan.training_steps, "{:,}"),
        ("data tokens", plan.data_tokens, "{:,}"),
        ("tokens per step", plan.train_tokens_per_step, "at most {:,}"),
        ("tokens in total", plan.train_tokens, "at most {:,}"),
    ]
    for name, value, form in rows:
        if value is not None:
            click.echo(f"{name:<21}{form.format(value)}")
    if plan.expected_duration_seconds is not None:
        click.echo(f"{'expected duration':<21}{duration(plan.expected_duration_seconds)}")


def _print_result(name: str, connection: ModelConnection, model: str | None) -> None:
    """Print the new model's id and commands that use it."""
    from ponant.client.sdk import DEFAULT_URL

    url = connection.server_url
    click.echo(f"Trained {name}. To use it:")
    if url is None:
        if model and connection.model is None and model != "smollm2":
            click.echo(f"  ponant serve {model}")
        click.echo(f"  ponant chat --model {name}")
        return
    click.echo(f"  ponant chat --model {name}" + ("" if url == DEFAULT_URL else f" --server-url {url}"))
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": "Hello"}]})
    click.echo(f"  curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'")
