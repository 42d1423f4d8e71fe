"""Compares Ponant with llama-server on the same weights: `python -m benchmarks.compare MODEL.gguf`.

Each round starts every server in turn with the same threads, sequences and KV cells, runs every load of
`benchmarks.loads.COMPARED` against it, and stops it again. The order changes from round to round, so that a machine
that grows slower or faster treats all alike. The result is one Markdown table of medians over the rounds.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import FrameType

from benchmarks.loads import COMPARED, Load
from benchmarks.machine import describe_machine
from benchmarks.measure import Report, Target, run_load
from benchmarks.servers import Resources, Server, ServerError, llama_server, ponant, running

Reports = dict[tuple[Server, Load], list[Report]]
"""What was measured: for each server and load, a report per round."""


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, interrupt)
    resources = Resources(arguments.model, arguments.context_cells, arguments.threads, arguments.parallel)
    try:
        servers = [
            ponant(find_program(arguments.ponant), resources),
            llama_server(find_program(arguments.llama_server), resources),
        ]
        reports = run_rounds(servers, COMPARED, arguments.rounds)
    except (ServerError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    text = format_result(servers, COMPARED, reports, resources)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n")
    return 1 if any(report.errors for rounds in reports.values() for report in rounds) else 0


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat being told to end like Ctrl-C, so that the running server is stopped."""
    signal.raise_signal(signal.SIGINT)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL.gguf", help="the weights both servers load")
    parser.add_argument("--context-cells", type=int, default=8192, help="KV cells in all (%(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the engine (%(default)s)")
    parser.add_argument("--parallel", type=int, default=16, help="sequences that run at once (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each server is started (%(default)s)")
    parser.add_argument(
        "--ponant", default="ponant", help="the ponant program (default: beside this Python, or on PATH)"
    )
    parser.add_argument("--llama-server", default="llama-server", help="the llama-server program (default: on PATH)")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="also write the table to a file")
    return parser.parse_args()


def find_program(name: str) -> str:
    """Return where a program lies: beside this Python, on PATH, or at the given path.

    Raises:
        FileNotFoundError: There is no such program.
    """
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    program = shutil.which(name, path=beside)
    if program is None:
        raise FileNotFoundError(f"no program {name} found")
    return program


def run_rounds(servers: list[Server], loads: tuple[Load, ...], rounds: int) -> Reports:
    """Run every load against every server, as often as there are rounds, and say on standard error how it goes."""
    reports: Reports = defaultdict(list)
    for number in range(rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            with running(server) as endpoint:
                target = Target(endpoint, server.dialect)
                for load in loads:
                    report = asyncio.run(run_load(target, load))
                    reports[server, load].append(report)
                    print(progress(number, server, report), file=sys.stderr, flush=True)
    return reports


def progress(number: int, server: Server, report: Report) -> str:
    """Return the line that tells of one finished run."""
    line = f"round {number + 1}: {server.name}, {report.load}: {report.tokens_per_second:.1f} tokens/s"
    problems = [f"{count} × {text}" for text, count in report.error_counts.items()]
    if report.short_requests:
        problems.append(f"{report.short_requests} answers too short")
    return "; ".join([line, *problems])


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a report, as a row of the table."""

    title: str
    read: Callable[[Report], float | None]
    scale: float = 1.0


FIGURES = (
    Figure("tokens/s", lambda report: report.tokens_per_second),
    Figure("first token p50, ms", lambda report: report.first_token_p50, 1000),
    Figure("first token p95, ms", lambda report: report.first_token_p95, 1000),
    Figure("between tokens p50, ms", lambda report: report.between_tokens_p50, 1000),
    Figure("between tokens p95, ms", lambda report: report.between_tokens_p95, 1000),
)


def format_result(servers: list[Server], loads: tuple[Load, ...], reports: Reports, resources: Resources) -> str:
    """Return the table, with what it was measured on above it."""
    ours, peer = servers
    rounds = len(reports[ours, loads[0]])
    lines = [
        f"- Machine: {describe_machine()}",
        f"- Model: {resources.model.name}, {resources.threads} threads, {resources.parallel} sequences, "
        f"{resources.context_cells} KV cells",
        *(f"- {server.name}: {server.version}" for server in servers),
        f"- Medians of {rounds} alternating rounds; in brackets the least and greatest ratio within one round",
        "",
        f"| load | figure | {ours.name} | {peer.name} | {ours.name} / {peer.name} |",
        "|---|---|---:|---:|---:|",
    ]
    for load in loads:
        for figure in FIGURES:
            cells = format_figure(figure, reports[ours, load], reports[peer, load])
            lines.append(f"| {load.name} | {figure.title} | {cells} |")
        failures = " | ".join(format_failures(reports[server, load]) for server in servers)
        lines.append(f"| {load.name} | errors and short answers, all rounds | {failures} | |")
    return "\n".join(lines)


def format_figure(figure: Figure, ours: list[Report], peers: list[Report]) -> str:
    """Return a figure's three cells: both medians, and our part of the peer's with its spread over the rounds."""
    pairs = [(figure.read(our), figure.read(peer)) for our, peer in zip(ours, peers, strict=True)]
    complete = [
        (our * figure.scale, peer * figure.scale) for our, peer in pairs if our is not None and peer is not None
    ]
    if not complete:
        return "- | - | -"
    our_median = median(our for our, _ in complete)
    peer_median = median(peer for _, peer in complete)
    ratios = [our / peer for our, peer in complete if peer]
    ratio = f"{our_median / peer_median:.2f} ({min(ratios):.2f}-{max(ratios):.2f})" if ratios and peer_median else "-"
    return f"{our_median:.1f} | {peer_median:.1f} | {ratio}"


def format_failures(rounds: list[Report]) -> str:
    """Return how many requests failed or ended early, out of all."""
    failed = sum(report.errors + report.short_requests for report in rounds)
    return f"{failed} of {sum(report.requests for report in rounds)}"


if __name__ == "__main__":
    sys.exit(main())
