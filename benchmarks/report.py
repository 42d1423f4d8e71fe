"""Reports: times, percentiles, Markdown tables, and a description of the machine."""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

NOTHING = "-"
"""The cell of a figure that was not measured."""


class Table:
    """A Markdown table whose cells are padded to the width of their headings.

    Args:
        columns: The headings.
        text: The headings of columns that hold text. The others hold numbers, which are aligned to the right.
    """

    def __init__(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> None:
        self._columns = columns
        self._is_text = [column in text for column in columns]

    def head(self) -> list[str]:
        """Return the heading and the line below it."""
        rules = ["---" if is_text else "---:" for is_text in self._is_text]
        return [f"| {' | '.join(self._columns)} |", f"|{'|'.join(rules)}|"]

    def row(self, *cells: object) -> str:
        """Return one row."""
        padded = [
            str(cell).ljust(len(column)) if is_text else str(cell).rjust(len(column))
            for cell, column, is_text in zip(cells, self._columns, self._is_text, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    def lines(self, rows: Iterable[Sequence[object]]) -> list[str]:
        """Return the whole table."""
        return [*self.head(), *(self.row(*row) for row in rows)]


def format_number(value: float | None) -> str:
    """Return a number with three significant digits, or all digits of its whole part.

    Examples:
        >>> format_number(1234.5), format_number(12.34), format_number(1.234), format_number(None)
        ('1234', '12.3', '1.23', '-')
    """
    if value is None:
        return NOTHING
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_milliseconds(seconds: float | None) -> str:
    """Return a time in milliseconds with one decimal."""
    return NOTHING if seconds is None else f"{1000 * seconds:.1f}"


def percentile(values: Sequence[float], fraction: float) -> float | None:
    """Return a percentile, interpolated between neighbours, or None for no values.

    Examples:
        >>> percentile([3.0, 1.0, 2.0], 0.5)
        2.0
        >>> percentile([1.0, 2.0], 0.75)
        1.75
    """
    if not values:
        return None
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Call a function; return the seconds it took and its result."""
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


def seconds(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    return timed(function)[0]


def show_progress(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def publish(lines: Iterable[str]) -> None:
    """Print lines of a report."""
    print("\n".join(lines), flush=True)


def write(lines: Iterable[str], output: Path | None) -> None:
    """Write a report to a file if one is given."""
    if output is not None:
        output.write_text("\n".join(lines) + "\n")


def describe_machine() -> str:
    """Return the processor's model, the usable cores, the memory, and the Python version."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor_model()}, {cores} cores, {memory:.0f} GiB of memory, Python {platform.python_version()}"


def processor_model() -> str:
    """Return the processor's name as the kernel reports it, or its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
