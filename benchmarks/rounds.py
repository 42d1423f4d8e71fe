"""Runs trials in rounds: every round starts every server in turn."""

import asyncio
import sys
from collections import defaultdict

from benchmarks.comparisons import Comparison, Trial
from benchmarks.exchange import Target
from benchmarks.processes import Running, ServerError, running
from benchmarks.scenario import Outcome, Session
from benchmarks.servers import Contender
from benchmarks.setups import Given, Setup

Outcomes = dict[Trial, list[Outcome]]
"""What was measured: for each trial, an outcome per round."""


def run_rounds(comparisons: list[Comparison], given: Given, rounds: int) -> Outcomes:
    """Run every trial in each round, whose order changes, and say on standard error how it goes.

    A server that does not start, or fails in a trial, gives outcomes without figures.
    """
    starts = group(comparisons)
    outcomes: Outcomes = defaultdict(list)
    for number in range(rounds):
        for (contender, setup), trials in starts if number % 2 == 0 else reversed(starts):
            for trial, outcome in run_start(contender, setup, given, trials).items():
                outcomes[trial].append(outcome)
                print(progress(number, trial, outcome), file=sys.stderr, flush=True)
    return outcomes


def group(comparisons: list[Comparison]) -> list[tuple[tuple[Contender, Setup], list[Trial]]]:
    """Return the trials by the servers they need, each trial once."""
    trials = dict.fromkeys(trial for comparison in comparisons for trial in (comparison.ours, *comparison.others))
    starts: dict[tuple[Contender, Setup], list[Trial]] = defaultdict(list)
    for trial in trials:
        starts[trial.contender, trial.setup].append(trial)
    return list(starts.items())


def run_start(contender: Contender, setup: Setup, given: Given, trials: list[Trial]) -> dict[Trial, Outcome]:
    """Start a server, run its trials one after the other, and stop it."""
    outcomes: dict[Trial, Outcome] = {}
    try:
        with running(contender, given, setup) as server:
            for trial in trials:
                outcomes[trial] = run_trial(trial, server)
    except (ServerError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        for trial in trials:
            outcomes.setdefault(trial, failed("the server did not start"))
    return outcomes


def run_trial(trial: Trial, server: Running) -> Outcome:
    """Run one trial; whatever goes wrong becomes its outcome."""
    target = Target(server.endpoint, trial.contender.kind.dialect)
    try:
        return asyncio.run(trial.scenario.run(Session(target, server.process, server.started)))
    except Exception as error:
        return failed(repr(error))


def failed(reason: str) -> Outcome:
    """Return the outcome of a trial that gave nothing."""
    outcome = Outcome(requests=1)
    outcome.failures[reason] = 1
    return outcome


def progress(number: int, trial: Trial, outcome: Outcome) -> str:
    """Return the line that tells of one finished trial."""
    figures = ", ".join(f"{title} {value:.2f}" for title, value in outcome.figures.items())
    problems = [f"{count} × {text}" for text, count in outcome.failures.items()]
    return "; ".join(
        [f"round {number + 1}: {trial.contender.name}, {trial.scenario.name}: {figures or '-'}", *problems]
    )
