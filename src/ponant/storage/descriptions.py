"""How files and jobs are described to their stores. Nothing here needs the database."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FileDetails:
    """What is told of a file when it is added; the rest is known of its content. Attributes as of ``FileRow``."""

    filename: str
    purpose: str
    sample_type: str
    mimetype: str
    source: str = "upload"
    visibility: str = "workspace"
    num_lines: int | None = None
    seconds: float | None = None
    """How long it is kept; None for ever."""


@dataclass(frozen=True, kw_only=True)
class FileFilter:
    """Which files are wanted; what is None does not matter.

    Attributes:
        sample_types, sources, mimetypes: one of these.
        purpose: this one.
        search: a part of the file's name, in upper or lower case.
    """

    sample_types: Sequence[str] | None = None
    sources: Sequence[str] | None = None
    mimetypes: Sequence[str] | None = None
    purpose: str | None = None
    search: str | None = None


@dataclass(frozen=True, kw_only=True)
class FineTuningJobFilter:
    """Which jobs are wanted; what is None does not matter.

    Attributes as of ``FineTuningJobRow``; times are exclusive.
    """

    model: str | None = None
    status: str | None = None
    suffix: str | None = None
    wandb_project: str | None = None
    wandb_name: str | None = None
    created_after: float | None = None
    created_before: float | None = None
