"""Measures structured output: `python -m benchmarks.structured MODEL.gguf`.

A server writes documents that satisfy a JSON schema of 20 fields, and free texts of as many tokens, in alternating
order; first for one client, then for 16 at once. Ponant is measured and, where it is found, llama-server on the same
file; their order changes from round to round. Every document is checked. Then the program measures what following a
grammar costs for each token, in this process and without the model.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.chat import positive
from benchmarks.compare import format_introduction, has_failures, interrupt, weights, write
from benchmarks.comparisons import Comparison, Trial
from benchmarks.documents import Documents
from benchmarks.masks import measure_masks
from benchmarks.rounds import run_rounds
from benchmarks.servers import LLAMA_SERVER, PONANT, Contender, find
from benchmarks.setups import Given, Setup
from benchmarks.table import format_table
from benchmarks.validity import CHECK

SETUP = Setup("documents", parallel=16, cells=16_384)
LOADS = (Documents(clients=1, pairs=4), Documents(clients=16, pairs=2, first_number=100))


def main() -> int:
    """Run the program; return its exit code: 1 when a request failed, 2 when it could not begin."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, interrupt)
    ponant = find(PONANT, arguments.ponant)
    if ponant is None:
        print(f"no program {arguments.ponant} found", file=sys.stderr)
        return 2
    peer = find(LLAMA_SERVER, arguments.llama_server)
    if peer is None:
        print(f"no program {arguments.llama_server} found: Ponant is measured alone", file=sys.stderr)
    peers = [] if peer is None else [peer]
    comparisons = make_comparisons(ponant, peers)
    try:
        with tempfile.TemporaryDirectory() as folder:
            given = Given(arguments.model.resolve(), arguments.threads, Path(folder))
            outcomes = run_rounds(comparisons, given, arguments.rounds)
        lines = [
            format_introduction([ponant, *peers], arguments.threads, arguments.rounds, comparisons),
            f"- Documents are {CHECK}",
            "",
            *format_table(comparisons, outcomes),
            "",
            *measure_masks(given.model),
        ]
    except KeyboardInterrupt:
        return 130
    print("\n".join(lines))
    write("\n".join(lines), arguments.output)
    return 1 if has_failures(outcomes) else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structured", description=__doc__)
    parser.add_argument("model", type=weights, metavar="MODEL.gguf", help="weights that both servers load")
    parser.add_argument("--rounds", type=positive, default=3, help="how often each server is started (%(default)s)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="threads of the engine (%(default)s)")
    parser.add_argument(
        "--ponant", default="ponant", help="the ponant program (default: beside this Python, or on PATH)"
    )
    parser.add_argument("--llama-server", default="llama-server", help="the llama-server program (default: on PATH)")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="also write the tables to a file")
    return parser.parse_args()


def make_comparisons(ponant: Contender, peers: list[Contender]) -> list[Comparison]:
    """Return each load beside what the peers make of it."""
    return [
        Comparison(load.name, Trial(ponant, SETUP, load), tuple(Trial(peer, SETUP, load) for peer in peers))
        for load in LOADS
    ]


if __name__ == "__main__":
    sys.exit(main())
