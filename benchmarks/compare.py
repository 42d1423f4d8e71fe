"""Compares Ponant with its peers on the same weights: `python -m benchmarks.compare MODEL.gguf [MODEL.gguf ...]`.

Each round starts every server in turn with the same threads, sequences and KV cells, runs the loads against it, and
stops it again. The order changes from round to round, so that a machine that grows slower or faster treats all alike.
The result is a Markdown table of medians over the rounds for each of the files. Ponant is compared with llama-server,
with vLLM and mistral.rs where they are installed, and with itself where a setting is the question.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from benchmarks.chat import positive
from benchmarks.comparisons import LOADS, Comparison, make_comparisons
from benchmarks.machine import describe_machine
from benchmarks.rounds import Outcomes, run_rounds
from benchmarks.servers import LLAMA_SERVER, OTHERS, PONANT, Contender, find
from benchmarks.setups import Given
from benchmarks.table import format_setups, format_table


def main() -> int:
    """Run the program; return its exit code: 1 when a request failed, 2 when it could not begin."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, interrupt)
    ponant = find(PONANT, arguments.ponant)
    if ponant is None:
        print(f"no program {arguments.ponant} found", file=sys.stderr)
        return 2
    peers = find_peers(arguments.llama_server)
    comparisons = make_comparisons(arguments.loads, ponant, peers)
    failed = False
    sections = [format_introduction([ponant, *peers], arguments.threads, arguments.rounds, comparisons)]
    try:
        for model in arguments.models:
            with tempfile.TemporaryDirectory() as folder:
                given = Given(model.resolve(), arguments.threads, Path(folder))
                outcomes = run_rounds(comparisons, given, arguments.rounds)
            failed |= has_failures(outcomes)
            sections.append("\n".join([f"### {model.name}", "", *format_table(comparisons, outcomes)]))
            write("\n\n".join(sections), arguments.output)
    except KeyboardInterrupt:
        return 130
    print("\n\n".join(sections))
    return 1 if failed else 0


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat being told to end like Ctrl-C, so that the running server is stopped."""
    signal.raise_signal(signal.SIGINT)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("models", type=weights, nargs="+", metavar="MODEL.gguf", help="weights that all servers load")
    parser.add_argument(
        "--loads", type=load_names, default=list(LOADS), metavar="NAME,…", help=f"what to run: {', '.join(LOADS)}"
    )
    parser.add_argument("--rounds", type=positive, default=3, help="how often each server is started (%(default)s)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="threads of the engine (%(default)s)")
    parser.add_argument(
        "--ponant", default="ponant", help="the ponant program (default: beside this Python, or on PATH)"
    )
    parser.add_argument("--llama-server", default="llama-server", help="the llama-server program (default: on PATH)")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="also write the tables to a file")
    return parser.parse_args()


def weights(text: str) -> Path:
    """Return a path if there is a file."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def load_names(text: str) -> list[str]:
    """Read names of loads, separated by commas."""
    names = text.split(",")
    unknown = [name for name in names if name not in LOADS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no load is called {', '.join(unknown)}; there are {', '.join(LOADS)}")
    return names


def find_peers(llama_server: str) -> list[Contender]:
    """Return the peers that are installed, each once, and say so if llama-server is not."""
    peer = find(LLAMA_SERVER, llama_server)
    if peer is None:
        print(f"no program {llama_server} found: Ponant is measured without it", file=sys.stderr)
    found = [contender for contender in (peer, *map(find, OTHERS)) if contender is not None]
    return list({contender.name: contender for contender in reversed(found)}.values())[::-1]


def has_failures(outcomes: Outcomes) -> bool:
    """Tell whether a request failed or ended early."""
    return any(outcome.failures for rounds in outcomes.values() for outcome in rounds)


def format_introduction(contenders: list[Contender], threads: int, rounds: int, comparisons: list[Comparison]) -> str:
    """Return what was measured on, and how."""
    lines = [
        f"- Machine: {describe_machine()}; {threads} threads",
        *(f"- {contender.name}: {contender.version}" for contender in contenders),
        f"- Medians of {rounds} alternating rounds; in brackets the least and greatest ratio within one round",
        *format_setups(comparisons),
    ]
    return "\n".join(lines)


def write(text: str, output: Path | None) -> None:
    """Write the tables so far to the file, if one was named."""
    if output is not None:
        output.write_text(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
