"""Results of validation: reports on files, and the plan of a run."""

from pathlib import Path

import msgspec

from ponant.private_files import read_bytes


class BadLine(msgspec.Struct, frozen=True):
    """An invalid line: its number, from 1, and the reason."""

    line: int
    reason: str


class FileReport(msgspec.Struct, frozen=True):
    """Statistics of a dataset file.

    Attributes:
        lines: lines that are not blank.
        samples: samples of all lines.
        tokens: tokens of all samples.
        learned_tokens: tokens that contribute to the loss.
        cut: conversations whose end exceeds ``seq_len``.
        fim: lines for fill-in-the-middle.
        invalid: bad lines.
        bad_lines: the first bad lines.
    """

    lines: int = 0
    samples: int = 0
    tokens: int = 0
    learned_tokens: int = 0
    cut: int = 0
    fim: int = 0
    invalid: int = 0
    bad_lines: list[BadLine] = []


def read_report(folder: Path) -> FileReport:
    """Read the report of an encoded file. Raises OSError or msgspec.DecodeError."""
    return msgspec.json.decode(read_bytes(folder / "report.json"), type=FileReport)


class TrainingPlan(msgspec.Struct, frozen=True):
    """Size and duration of a run.

    ``train_tokens_per_step`` and ``train_tokens`` are upper bounds: sequences are rarely full to the last token.
    """

    steps: int
    epochs: float
    data_tokens: int
    train_tokens_per_step: int
    train_tokens: int
    expected_duration_seconds: int | None = None
