"""Comparisons of Ponant with other servers: trials in alternating rounds, and the table of their figures."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.report import NOTHING, Table, describe_machine, format_number, show_progress
from benchmarks.scenarios import Outcome, Scenario
from benchmarks.servers import Contender, Resources, Running, ServerError, Setup, running

SPEEDS = {"tokens/s": 1, "wall time, s": -1, "wall time of a request p50, s": -1}
"""The figures that are a speed (1) or the inverse of one (-1)."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A scenario with a contender in a setup."""

    contender: Contender
    setup: Setup
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Comparison:
    """A trial of Ponant, and the trials that it is compared with."""

    name: str
    ours: Trial
    others: tuple[Trial, ...]


Outcomes = dict[Trial, list[Outcome]]
"""For each trial, an outcome per round."""


def compare_all(ours: Contender, others: Sequence[Contender], setup: Setup, scenario: Scenario) -> Comparison:
    """Return the comparison of one contender with others in the same scenario."""
    return Comparison(
        scenario.name, Trial(ours, setup, scenario), tuple(Trial(other, setup, scenario) for other in others)
    )


def run_rounds(comparisons: list[Comparison], resources: Resources, rounds: int) -> Outcomes:
    """Run every trial in each round, in alternating order, and show the progress.

    A server that does not start, or fails in a trial, gives outcomes without figures.
    """
    starts = group(comparisons)
    outcomes: Outcomes = defaultdict(list)
    for number in range(rounds):
        for (contender, setup), trials in starts if number % 2 == 0 else reversed(starts):
            for trial, outcome in run_start(contender, setup, resources, trials).items():
                outcomes[trial].append(outcome)
                show_progress(format_outcome(number, trial, outcome))
    return outcomes


def group(comparisons: list[Comparison]) -> list[tuple[tuple[Contender, Setup], list[Trial]]]:
    """Return the trials by the servers that they need, each trial once."""
    trials = dict.fromkeys(trial for comparison in comparisons for trial in (comparison.ours, *comparison.others))
    starts: dict[tuple[Contender, Setup], list[Trial]] = defaultdict(list)
    for trial in trials:
        starts[trial.contender, trial.setup].append(trial)
    return list(starts.items())


def run_start(contender: Contender, setup: Setup, resources: Resources, trials: list[Trial]) -> dict[Trial, Outcome]:
    """Start a server, run its trials one after the other, and stop it."""
    outcomes: dict[Trial, Outcome] = {}
    try:
        with running(contender, resources, setup) as server:
            for trial in trials:
                outcomes[trial] = run_trial(trial, server)
    except (ServerError, OSError) as error:
        show_progress(str(error))
        for trial in trials:
            outcomes.setdefault(trial, failed("the server did not start"))
    return outcomes


def run_trial(trial: Trial, server: Running) -> Outcome:
    """Run one trial. An exception becomes its outcome."""
    try:
        return asyncio.run(trial.scenario.run(server))
    except Exception as error:
        return failed(repr(error))


def failed(reason: str) -> Outcome:
    """Return the outcome of a trial without figures."""
    outcome = Outcome(requests=1)
    outcome.failures[reason] = 1
    return outcome


def has_failures(outcomes: Outcomes) -> bool:
    """Return True if a request failed or ended early."""
    return any(outcome.failures for rounds in outcomes.values() for outcome in rounds)


def format_outcome(number: int, trial: Trial, outcome: Outcome) -> str:
    """Return the progress line of one trial."""
    figures = ", ".join(f"{title} {value:.2f}" for title, value in outcome.figures.items())
    problems = [f"{count} × {text}" for text, count in outcome.failures.items()]
    return "; ".join(
        [f"round {number + 1}: {trial.contender.name}, {trial.scenario.name}: {figures or NOTHING}", *problems]
    )


def format_introduction(
    contenders: list[Contender], threads: int, rounds: int, comparisons: list[Comparison]
) -> Iterator[str]:
    """Yield the lines about the machine, the versions, the rounds, and the loads of each setup."""
    yield f"- Machine: {describe_machine()}; {threads} threads"
    yield from (f"- {contender.name}: {contender.version}" for contender in contenders)
    yield f"- Medians of {rounds} alternating rounds; in brackets the least and greatest ratio within one round"
    loads: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        loads.setdefault(str(comparison.ours.setup), {})[comparison.name] = None
    yield from (f"- {setup}: {'; '.join(names)}" for setup, names in loads.items())


def format_table(comparisons: list[Comparison], outcomes: Outcomes) -> list[str]:
    """Return the table: for each comparison, a row for every figure and every other trial."""
    table = Table(("load", "figure", "Ponant", "peer", "its figure", "Ponant / peer"), text=("load", "figure", "peer"))
    return table.lines(row for comparison in comparisons for row in comparison_rows(comparison, outcomes))


def comparison_rows(comparison: Comparison, outcomes: Outcomes) -> Iterator[tuple[str, ...]]:
    """Yield the rows of one comparison."""
    ours = outcomes[comparison.ours]
    for other, theirs in [(other.contender.name, outcomes[other]) for other in comparison.others] or [(NOTHING, [])]:
        for title in dict.fromkeys(title for outcome in (*ours, *theirs) for title in outcome.figures):
            our, their = format_number(middle(ours, title)), format_number(middle(theirs, title))
            yield comparison.name, title, our, other, their, format_ratio(ours, theirs, title)
        yield comparison.name, "failed or short, all rounds", failures(ours), other, failures(theirs), ""


def middle(rounds: list[Outcome], title: str) -> float | None:
    """Return the median of a figure over the rounds that have it."""
    values = [outcome.figures[title] for outcome in rounds if title in outcome.figures]
    return median(values) if values else None


def format_ratio(ours: list[Outcome], theirs: list[Outcome], title: str) -> str:
    """Return the ratio of the medians of a figure, and the least and greatest ratio within one round."""
    pairs = figure_pairs(ours, theirs, title)
    if not pairs:
        return NOTHING
    of_medians = median(our for our, _ in pairs) / median(their for _, their in pairs)
    ratios = [our / their for our, their in pairs]
    spread = "" if min(ratios) == max(ratios) else f" ({min(ratios):.2f}-{max(ratios):.2f})"
    return f"{of_medians:.2f}{spread}"


def figure_pairs(ours: list[Outcome], theirs: list[Outcome], title: str) -> list[tuple[float, float]]:
    """Return the values of a figure in the rounds that have it on both sides."""
    return [
        (our.figures[title], their.figures[title])
        for our, their in zip(ours, theirs, strict=False)
        if title in our.figures and their.figures.get(title)
    ]


def failures(rounds: list[Outcome]) -> str:
    """Return the number of requests that failed or ended early, of all requests."""
    requests = sum(outcome.requests for outcome in rounds)
    return f"{sum(outcome.failures.total() for outcome in rounds)} of {requests}" if rounds else NOTHING


def format_speeds(comparisons: list[Comparison], outcomes: Outcomes) -> list[str]:
    """Return the table of speed ratios within one round: above 1, Ponant is faster than the other contender."""
    table = Table(
        ("load", "figure", "peer", "median speed ratio", "least", "greatest", "rounds"),
        text=("load", "figure", "peer"),
    )
    return table.lines(row for comparison in comparisons for row in speed_rows(comparison, outcomes))


def speed_rows(comparison: Comparison, outcomes: Outcomes) -> Iterator[tuple[str, ...]]:
    """Yield the speed ratios of one comparison."""
    for other in comparison.others:
        for title, exponent in SPEEDS.items():
            pairs = figure_pairs(outcomes[comparison.ours], outcomes[other], title)
            ratios = [(our / their) ** exponent for our, their in pairs]
            if ratios:
                figures = (f"{ratio:.3f}" for ratio in (median(ratios), min(ratios), max(ratios)))
                yield comparison.name, title, other.contender.name, *figures, str(len(ratios))
