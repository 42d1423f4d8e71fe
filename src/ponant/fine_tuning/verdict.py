"""Verdicts on the files of a job."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ponant.training.events import Validated
from ponant.training.report import FileReport, TrainingPlan, read_report


@dataclass(frozen=True, slots=True)
class Verdict:
    """Verdict on the files of a job.

    Attributes:
        refusal: reason why the job is refused; None if it is accepted.
        training_files: reports on the training files; None for those that were not read.
        validation_files: the same for the validation files.
        plan: size and duration of the job, if it is accepted.
    """

    refusal: str | None
    training_files: Sequence[FileReport | None]
    validation_files: Sequence[FileReport | None]
    plan: TrainingPlan | None = None


def accepted(validated: Validated) -> Verdict:
    """Return the verdict on valid files."""
    return Verdict(None, validated.training_files, validated.validation_files, validated.plan)


def refused(reason: str, folder: Path, *, training: int, validation: int) -> Verdict:
    """Return the verdict on refused files, with the reports that the training process left in its folder. Blocks.

    Args:
        reason: reason for users.
        folder: folder of the run.
        training: number of training files.
        validation: number of validation files.
    """
    return Verdict(reason, _reports(folder, "training", training), _reports(folder, "validation", validation))


def _reports(folder: Path, kind: str, count: int) -> list[FileReport | None]:
    samples = folder / "samples"
    done = samples / kind
    found = done if done.is_dir() else samples / f"{kind}.part"
    return [_report(found / str(index)) for index in range(count)]


def _report(folder: Path) -> FileReport | None:
    try:
        return read_report(folder)
    except (OSError, msgspec.DecodeError):
        return None
