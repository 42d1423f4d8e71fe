"""Descriptions of files and jobs, without the database and its libraries."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FileDetails:
    """Properties of a new file that its content does not show. Attributes as of ``FileRow``."""

    filename: str
    purpose: str
    sample_type: str
    mimetype: str
    source: str = "upload"
    visibility: str = "workspace"
    num_lines: int | None = None
    seconds: float | None = None
    """Lifetime; None if the file does not expire."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a list.

    Attributes:
        number: number of the page, from 0.
        size: most items of the page.
        after: id of the item before the first page; None for none. The total counts the items after it.
        oldest_first: True for the oldest items first, else the newest.
    """

    number: int = 0
    size: int = 100
    after: str | None = None
    oldest_first: bool = False


@dataclass(frozen=True, kw_only=True)
class FileFilter:
    """Conditions on files; None matches all.

    Attributes:
        sample_types, sources, mimetypes: accepted values.
        purpose: the only accepted value.
        search: part of the file name, ignoring case.
    """

    sample_types: Sequence[str] | None = None
    sources: Sequence[str] | None = None
    mimetypes: Sequence[str] | None = None
    purpose: str | None = None
    search: str | None = None


@dataclass(frozen=True, kw_only=True)
class FineTuningJobFilter:
    """Conditions on jobs; None matches all.

    Attributes as of ``FineTuningJobRow``; times are exclusive.
    """

    model: str | None = None
    status: str | None = None
    suffix: str | None = None
    wandb_project: str | None = None
    wandb_name: str | None = None
    created_after: float | None = None
    created_before: float | None = None
