"""Run the hostile trials, print a table of them, and fail on violated rules that hostile/expected.py does not list."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hostile.connections import try_connections
from hostile.contract import PROGRAM, try_contract
from hostile.expected import EXPECTED
from hostile.fields import try_fields
from hostile.findings import Finding, judge
from hostile.kills import try_kills
from hostile.leavers import try_leavers
from hostile.neighbour import try_neighbour
from hostile.page import PAGE, summary, with_summary
from hostile.real_engine import try_real_engine
from hostile.results import Part
from hostile.server_process import MeasuredServer, tiny_model
from ponant._version import __version__

Trial = Callable[[Path, bool], list[Part]]


def _contract(model: Path, full: bool) -> list[Part]:
    with MeasuredServer(model) as server:
        return [try_contract(server, full=full)]


def _fields(model: Path, full: bool) -> list[Part]:
    with MeasuredServer(model) as server:
        return try_fields(server, full=full)


def _leavers(model: Path, full: bool) -> list[Part]:
    """Measure clients that leave; the trial asserts times, so the short form leaves it out."""
    if not full:
        return []
    with MeasuredServer(model) as server:
        return [try_leavers(server)]


def _neighbour(_: Path, full: bool) -> list[Part]:
    """Measure neighbours; the trial asserts times, so the short form leaves it out."""
    return [try_neighbour()] if full else []


TRIALS: dict[str, Trial] = {
    "contract": _contract,
    "fields": _fields,
    "engine": lambda model, full: [try_real_engine(model, full=full)],
    "connections": lambda model, full: try_connections(model, full=full),
    "kills": lambda model, full: try_kills(model, full=full),
    "leavers": _leavers,
    "neighbour": _neighbour,
}


def main() -> int:
    """Run the named trials. Returns 1 on a violated rule that is not expected."""
    parser = argparse.ArgumentParser(prog="python -m hostile.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TRIAL", help=f"{', '.join(TRIALS)}; default: all")
    parser.add_argument("--full", action="store_true", help="more requests and kills, and rules of time")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(TRIALS):
        parser.error(f"no such trial: {', '.join(sorted(unknown))}")
    if arguments.write and (arguments.names or not arguments.full):
        parser.error("only the full form with all trials is written")
    if not PROGRAM.exists() and (not arguments.names or "contract" in arguments.names):
        parser.error("Schemathesis is not installed; run: make hostile")
    parts = list(_run([name for name in TRIALS if not arguments.names or name in arguments.names], arguments.full))
    status = _report(parts)
    if arguments.write:
        PAGE.write_text(with_summary(PAGE.read_text(), parts, __version__))
        print(f"Written: {PAGE.name}")
    return status


def _run(names: Sequence[str], full: bool) -> Iterator[Part]:
    with tiny_model() as model:
        for name in names:
            began = time.monotonic()
            yield from TRIALS[name](model, full)
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


def _report(parts: Sequence[Part]) -> int:
    findings: list[Finding] = [finding for part in parts for finding in part.findings]
    verdict = judge(findings, EXPECTED)
    print("\n".join(["", *summary(parts), "", *verdict.lines()]))
    for part in parts:
        for figure, culprit in part.culprits.items():
            print(f"worst {figure} of {part.name}: {culprit}")
    print(f"{len(verdict.new)} violations, {sum(verdict.known.values())} known ones")
    return bool(verdict.new)


if __name__ == "__main__":
    sys.exit(main())
