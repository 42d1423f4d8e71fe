"""The summary table, and its place in docs/reliability.md."""

import platform
import re
import statistics
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from benchmarks.report import NOTHING, Table, describe_machine
from hostile.results import Part

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
_MARKED = re.compile(r"(<!-- hostile -->\n)(.*?)(<!-- end of hostile -->)", re.DOTALL)
_COLUMNS = (
    "trial",
    "requests",
    "5xx",
    "no reply",
    "worst gap",
    "longest /health",
    "largest error",
    "peak memory",
    "kept memory",
    "recovery p50",
    "max",
    "rate",
)


def summary(parts: Sequence[Part]) -> list[str]:
    """Return the lines of the table."""
    return Table(_COLUMNS, text=("trial",)).lines(_row(part) for part in parts)


def with_summary(text: str, parts: Sequence[Part], version: str) -> str:
    """Return the text of the page with a new table."""
    if not _MARKED.search(text):
        raise LookupError(f"{PAGE.name} has no marked place for the table")
    head = f"Ponant {version}, {date.today().isoformat()}, {describe_machine()}, {platform.system()}:"
    table = "\n".join([head, "", *summary(parts)])
    return _MARKED.sub(lambda found: f"{found[1]}{table}\n{found[3]}", text)


def _row(part: Part) -> tuple[object, ...]:
    times = part.recoveries
    return (
        part.name,
        part.requests,
        part.server_errors,
        part.statuses[0],
        _milliseconds(part.worst_turn),
        _milliseconds(part.longest_health),
        NOTHING if part.largest_error is None else f"{part.largest_error / 1000:.1f} kB",
        _megabytes(part.worst_memory),
        _megabytes(part.kept_memory),
        f"{statistics.median(times):.2f} s" if times else NOTHING,
        f"{max(times):.2f} s" if times else NOTHING,
        NOTHING if part.rate is None else f"{100 * part.rate:.0f}%",
    )


def _milliseconds(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{1000 * seconds:.0f} ms"


def _megabytes(size: int | None) -> str:
    return NOTHING if size is None else f"{size / 2**20:.0f} MB"
