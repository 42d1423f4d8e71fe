"""What a look at a dataset tells, before anything is trained."""

import msgspec


class BadLine(msgspec.Struct, frozen=True):
    """A line from which nothing can be learned: its number, from 1, and the reason."""

    line: int
    reason: str


class FileReport(msgspec.Struct, frozen=True):
    """What is in a file of a dataset.

    ``lines`` are those that are not blank, ``invalid`` how many of them are bad, and ``bad_lines`` the first of these.
    ``cut`` is the number of conversations with an end too long to be learned. ``tokens`` are all of the samples,
    ``learned_tokens`` those with loss.
    """

    lines: int = 0
    samples: int = 0
    tokens: int = 0
    learned_tokens: int = 0
    cut: int = 0
    fim: int = 0
    invalid: int = 0
    bad_lines: list[BadLine] = []


class TrainingPlan(msgspec.Struct, frozen=True):
    """What a run will do.

    ``train_tokens_per_step`` and ``train_tokens`` are upper bounds: sequences are rarely full to the last token.
    """

    steps: int
    epochs: float
    data_tokens: int
    train_tokens_per_step: int
    train_tokens: int
    expected_duration_seconds: int | None = None
