"""From jobs as the API has them to runs as the trainer has them."""

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
from ponant.training.events import Validated
from ponant.training.job import DatasetFile, Hyperparameters, TrainingRun, Wandb, read_run, write_run
from ponant.training.report import TrainingPlan

if TYPE_CHECKING:
    from ponant.storage.tables import FineTuningJobRow

_NO_SUFFIX = "ponant"


class CannotRunError(Exception):
    """A job cannot be run any more. The message is for users."""


def describe_run(
    request: JobIn, base: ServedModel, cache: Path, training_files: Sequence[Path], validation_files: Sequence[Path]
) -> TrainingRun:
    """The run that a job is.

    Args:
        request: the job.
        base: the model to be trained.
        cache: folder for weights that were read from GGUF files.
        training_files: where the contents of the job's files are, in its order.
        validation_files: the same of those.
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
    """Bring the run in a job's folder up to how its model is served now. Blocks.

    If it is not served here, as where another process with the same data folder made the job, the run stays as it is.

    Raises:
        CannotRunError: there is no such model any more, or the run cannot be read.
    """
    try:
        run = read_run(folder)
    except (OSError, msgspec.MsgspecError) as error:
        raise CannotRunError(f"what is to be done is no longer known: {error}") from None
    # By its id alone: what was one may be another name of some other model by now.
    spec = next((served.spec for served in catalog.models if served.spec.id == base), None)
    if spec is None:
        if Path(run.model).is_file():
            return
        raise CannotRunError(f"the model {base} is no longer served, and {run.model} is no longer there")
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
    """Remove from the folder of a job that is at its end what nobody needs; the metrics and the log stay. Blocks.

    Args:
        folder: the job's.
        keep_model: whether what it made is needed.
    """
    folders, files = ["samples", "checkpoints", "adapter.part"], ["run.json", "run.json.part", ".adapter.gguf.part"]
    if not keep_model:
        folders.append("adapter")
        files.append("adapter.gguf")
    for name in folders:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in files:
        (folder / name).unlink(missing_ok=True)


def unclean_folders(folder: Path) -> list[Path]:
    """Return the folders of jobs that still have the description of a run, or the beginning of one. Blocks."""
    return list({path.parent for name in ("run.json", "run.json.part") for path in folder.glob(f"*/{name}")})


def plan_of(validated: Validated, ahead: Sequence["FineTuningJobRow"] = ()) -> dict[str, Any]:
    """What a job will take, as the API's ``metadata`` has it.

    Args:
        validated: what the trainer tells of its files.
        ahead: jobs that are trained before it.
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


def skipped_lines(validated: Validated, job: "FineTuningJobRow") -> list[dict[str, Any]]:
    """The bad lines of a job's files that are skipped: of each file how many, and the first ones with their reasons."""
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
    """The id of the model that a job makes."""
    day = datetime.fromtimestamp(job.created_at, UTC).strftime("%Y%m%d")
    return f"ft:{job.base}:{job.suffix or _NO_SUFFIX}:{day}:{job.id[:8]}"
