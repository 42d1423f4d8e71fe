"""Writes what was measured as a Markdown table."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.comparisons import Comparison
from benchmarks.rounds import Outcomes
from benchmarks.scenario import Outcome
from benchmarks.setups import Setup

HEAD = ("| load | figure | Ponant | beside | its figure | Ponant / it |", "|---|---|---:|---|---:|---:|")
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Our part of another one's figure: of the medians, and the least and greatest within one round."""

    of_medians: float
    least: float
    greatest: float

    def __str__(self) -> str:
        spread = "" if self.least == self.greatest else f" ({self.least:.2f}-{self.greatest:.2f})"
        return f"{self.of_medians:.2f}{spread}"


def format_table(comparisons: list[Comparison], outcomes: Outcomes) -> Iterator[str]:
    """Return the lines of the table: for each comparison a row for every figure and every other one."""
    yield from HEAD
    for comparison in comparisons:
        ours = outcomes[comparison.ours]
        for other in comparison.others:
            yield from format_rows(comparison.name, ours, other.contender.name, outcomes[other])
        if not comparison.others:
            yield from format_rows(comparison.name, ours, NOTHING, [])


def format_rows(load: str, ours: list[Outcome], beside: str, theirs: list[Outcome]) -> Iterator[str]:
    """Return the rows of one comparison with one other trial."""
    titles = dict.fromkeys(title for outcome in (*ours, *theirs) for title in outcome.figures)
    for title in titles:
        our, their = format_number(middle(ours, title)), format_number(middle(theirs, title))
        yield f"| {load} | {title} | {our} | {beside} | {their} | {ratio(ours, theirs, title) or NOTHING} |"
    yield f"| {load} | failed or short, all rounds | {failures(ours)} | {beside} | {failures(theirs)} | |"


def middle(rounds: list[Outcome], title: str) -> float | None:
    """Return the median of a figure over the rounds that have it."""
    values = [outcome.figures[title] for outcome in rounds if title in outcome.figures]
    return median(values) if values else None


def ratio(ours: list[Outcome], theirs: list[Outcome], title: str) -> Ratio | None:
    """Compare a figure over the rounds that have it on both sides."""
    pairs = [
        (our.figures[title], their.figures[title])
        for our, their in zip(ours, theirs, strict=False)
        if title in our.figures and their.figures.get(title)
    ]
    if not pairs:
        return None
    ratios = [our / their for our, their in pairs]
    return Ratio(median(our for our, _ in pairs) / median(their for _, their in pairs), min(ratios), max(ratios))


def failures(rounds: list[Outcome]) -> str:
    """Return how many requests failed or ended early, out of all."""
    requests = sum(outcome.requests for outcome in rounds)
    return f"{sum(outcome.failures.total() for outcome in rounds)} of {requests}" if rounds else NOTHING


def format_number(value: float | None) -> str:
    """Return a number with as many digits as mean something.

    Examples:
        >>> format_number(1234.5), format_number(12.34), format_number(1.234), format_number(None)
        ('1234', '12.3', '1.23', '-')
    """
    if value is None:
        return NOTHING
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_setups(comparisons: list[Comparison]) -> Iterator[str]:
    """Return a line for each kind of setup: what servers had, and which loads ran on it."""
    loads: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        loads.setdefault(format_setup(comparison.ours.setup), {})[comparison.name] = None
    for setup, names in loads.items():
        yield f"- {setup}: {'; '.join(names)}"


def format_setup(setup: Setup) -> str:
    """Return what servers had."""
    batch = "" if setup.batch is None else f", batches of {setup.batch}, no cache in memory beside the cells"
    shared = ", one sequence may take more than its share" if setup.long_sequences else ""
    return f"{setup.parallel} sequences, {setup.cells} KV cells{batch}{shared}"
