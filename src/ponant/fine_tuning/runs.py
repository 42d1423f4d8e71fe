"""Translation of jobs of the API to runs of the trainer, and of its results."""

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from ponant.api.fine_tuning import JobIn
from ponant.catalog.catalog import Catalog
from ponant.catalog.served import ServedModel
from ponant.private_files import open_file
from ponant.training.events import Validated
from ponant.training.job import DatasetFile, Hyperparameters, TrainingRun, Wandb, read_run, write_run
from ponant.training.report import TrainingPlan

if TYPE_CHECKING:
    from ponant.storage.tables import FineTuningJobRow

TRAINER_LOG = "trainer.log"
_NO_SUFFIX = "ponant"
_LONGEST_LOG = 2**16
"""Bytes of a process's output that are kept when its job has ended."""


class CannotRunError(Exception):
    """A job can no longer be run. The message is for users."""


def describe_run(
    request: JobIn, base: ServedModel, cache: Path, training_files: Sequence[Path], validation_files: Sequence[Path]
) -> TrainingRun:
    """Return the run of a job.

    Args:
        request: the job.
        base: model to train.
        cache: folder for weights read from GGUF files.
        training_files: paths of the contents, in the order of the job's files.
        validation_files: paths of the contents, in the order of the job's files.
    """
    given = {name: value for name, value in request.hyperparameters.model_dump().items() if value is not None}
    wandb = request.integrations[0] if request.integrations else None
    return TrainingRun(
        model=str(base.spec.weights),
        cache=str(cache),
        training_files=[
            DatasetFile(str(path), file.weight)
            for path, file in zip(training_files, request.training_files, strict=True)
        ],
        validation_files=[str(path) for path in validation_files],
        hyperparameters=Hyperparameters(**given),
        name=base.spec.id,
        weights=_text(base.spec.training_weights),
        tokenizer=_text(base.spec.tokenizer),
        invalid_sample_skip_percentage=request.invalid_sample_skip_percentage,
        threads=base.spec.threads,
        wandb=Wandb(wandb.project, wandb.run_name or wandb.name, wandb.api_key) if wandb else None,
    )


def refresh_run(folder: Path, catalog: Catalog, base: str) -> None:
    """Update the run in a job's folder to the current settings of its model. Blocks.

    If this server does not serve the model, for example because another server with the same data folder created the
    job, the run stays unchanged.

    Raises:
        CannotRunError: the model no longer exists, or the run cannot be read.
    """
    try:
        run = read_run(folder)
    except (OSError, msgspec.MsgspecError) as error:
        raise CannotRunError(f"the description of the run cannot be read: {error}") from None
    # Search by id only: the id may have become an alias of another model.
    spec = next((served.spec for served in catalog.models if served.spec.id == base), None)
    if spec is None:
        if Path(run.model).is_file():
            return
        raise CannotRunError(f"the model {base} is no longer served, and {run.model} no longer exists")
    run = structs.replace(
        run,
        model=str(spec.weights),
        weights=_text(spec.training_weights),
        tokenizer=_text(spec.tokenizer),
        threads=spec.threads,
    )
    write_run(run, folder)


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def clean_run(folder: Path, *, keep_model: bool = False) -> None:
    """Remove the temporary files of a job that has ended; keep the metrics and the end of the log. Blocks.

    Args:
        folder: folder of the job.
        keep_model: keep the resulting adapter.
    """
    folders, files = ["samples", "checkpoints", "adapter.part"], ["run.json", "run.json.part", ".adapter.gguf.part"]
    if not keep_model:
        folders.append("adapter")
        files.append("adapter.gguf")
    for name in folders:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in files:
        (folder / name).unlink(missing_ok=True)
    _shorten(folder / TRAINER_LOG)


def _shorten(log: Path) -> None:
    """Keep the end of a log. A file that is missing or cannot be written stays as it is."""
    with contextlib.suppress(OSError), open_file(log, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size > _LONGEST_LOG:
            file.seek(size - _LONGEST_LOG)
            end = file.read()
            file.seek(0)
            file.write(end)
            file.truncate()


def unclean_folders(folder: Path) -> list[Path]:
    """Return the folders of jobs with the description of a run, complete or not. Blocks."""
    return list({path.parent for name in ("run.json", "run.json.part") for path in folder.glob(f"*/{name}")})


def plan_of(validated: Validated, ahead: Sequence["FineTuningJobRow"] = ()) -> dict[str, Any]:
    """Return the estimates for a job, as ``metadata`` of the API.

    Args:
        validated: report of the trainer on the files.
        ahead: jobs that are trained earlier.
    """
    plan: TrainingPlan = validated.plan
    waiting = sum((job.plan or {}).get("expected_duration_seconds") or 0 for job in ahead)
    return {
        "expected_duration_seconds": plan.expected_duration_seconds,
        "cost": 0.0,
        "cost_currency": None,
        "train_tokens_per_step": plan.train_tokens_per_step,
        "train_tokens": plan.train_tokens,
        "data_tokens": plan.data_tokens,
        "estimated_start_time": int(time.time()) + waiting,
    }


def planned_hyperparameters(validated: Validated) -> dict[str, Any]:
    """Return the hyperparameters that follow from the files or have a default of the trainer."""
    plan = validated.plan
    return {"training_steps": plan.steps, "epochs": plan.epochs, "seq_len": Hyperparameters().seq_len}


def skipped_lines(validated: Validated, job: "FineTuningJobRow") -> list[dict[str, Any]]:
    """Return, for each file with skipped lines, their number and the first ones with reasons."""
    ids = [*(file["file_id"] for file in job.training_files), *job.validation_files]
    reports = [*validated.training_files, *validated.validation_files]
    return [
        {
            "file_id": id_,
            "skipped": report.invalid,
            "lines": [{"line": bad.line, "reason": bad.reason} for bad in report.bad_lines],
        }
        for id_, report in zip(ids, reports, strict=True)
        if report.invalid
    ]


def name_of_result(job: "FineTuningJobRow") -> str:
    """Return the id of the model that a job makes."""
    day = datetime.fromtimestamp(job.created_at, UTC).strftime("%Y%m%d")
    return f"ft:{job.base}:{job.suffix or _NO_SUFFIX}:{day}:{job.id[:8]}"
