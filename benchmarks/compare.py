"""Compare Ponant with its peers on the same weights: `python -m benchmarks.compare MODEL.gguf [MODEL.gguf ...]`.

Each round starts every server in turn with the same threads, sequences and KV cells, runs the loads against it, and
stops it. The order alternates between rounds, so that a change of the machine's speed affects all servers alike. The
result is a Markdown table of medians over the rounds for each file. The peers are llama-server, and vLLM and mistral.rs
if they are installed; some loads compare Ponant with itself under another setting. With `--baseline`, the only peer is
the Ponant of another checkout.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.cli import (
    add_llama_server,
    add_models,
    add_output,
    add_ponant,
    add_rounds,
    add_threads,
    make_parser,
    run,
)
from benchmarks.comparisons import (
    Comparison,
    Trial,
    compare_all,
    format_introduction,
    format_speeds,
    format_table,
    has_failures,
    run_rounds,
)
from benchmarks.loads import (
    EIGHT_CHOICES,
    FIRST_REQUEST,
    LONG_PROMPT,
    ONE_CLIENT,
    ONE_CLIENT_GREEDY,
    SHARED_PROMPT,
    SIXTEEN_CLIENTS,
    SIXTEEN_CLIENTS_GREEDY,
    STREAMS,
    USELESS_PREDICTION,
)
from benchmarks.report import publish, write
from benchmarks.scenarios import (
    PREDICTED,
    RATES,
    REQUEST_TIME,
    WALL_TIME,
    Arrival,
    Chat,
    FirstAnswer,
    Memory,
    Prediction,
    Rewriting,
    Scenario,
)
from benchmarks.servers import OTHERS, Contender, Setup, find, find_llama_server, find_ponant, open_resources

SHORT = Setup("short sequences", parallel=16, cells=8_192)
EIGHT = Setup("eight long sequences", parallel=8, cells=16_384)
MEMORY = Setup("equal memory", parallel=16, cells=8_192, batch=512)
ARRIVAL = Setup("one very long sequence", parallel=16, cells=32_768, long_sequences=True)
START = Setup("start", parallel=16, cells=8_192)

AGAINST_PEERS: dict[str, tuple[Setup, Scenario]] = {
    "one": (SHORT, Chat(ONE_CLIENT, RATES)),
    "sixteen": (SHORT, Chat(SIXTEEN_CLIENTS, RATES)),
    "one-greedy": (SHORT, Chat(ONE_CLIENT_GREEDY, RATES)),
    "sixteen-greedy": (SHORT, Chat(SIXTEEN_CLIENTS_GREEDY, RATES)),
    "shared-prompt": (EIGHT, Chat(SHARED_PROMPT, WALL_TIME)),
    "choices": (EIGHT, Chat(EIGHT_CHOICES, REQUEST_TIME)),
    "memory": (MEMORY, Memory(SIXTEEN_CLIENTS)),
    "fairness": (ARRIVAL, Arrival(STREAMS, LONG_PROMPT, tokens_before=32)),
    "start": (START, FirstAnswer(FIRST_REQUEST)),
}
"""The loads that compare Ponant with every peer, by their names in `--loads`."""

LOADS = (*AGAINST_PEERS, "prediction", "prepared")
"""All names that `--loads` accepts."""


def main() -> int:
    """Run the program; return its exit code: 1 when a request failed."""
    arguments = parse_arguments()
    ponant = find_ponant(arguments.ponant)
    peers = find_peers(arguments)
    comparisons = make_comparisons(arguments.loads, ponant, peers)
    lines = [*format_introduction([ponant, *peers], arguments.threads, arguments.rounds, comparisons)]
    publish(lines)
    succeeded = True
    for model in arguments.models:
        with open_resources(ponant, model, arguments.threads) as resources:
            outcomes = run_rounds(comparisons, resources, arguments.rounds)
        succeeded &= not has_failures(outcomes)
        section = ["", f"### {model.name}", "", *format_table(comparisons, outcomes)]
        if arguments.baseline:
            section += ["", *format_speeds(comparisons, outcomes)]
        publish(section)
        lines += section
        write(lines, arguments.output)
    return 0 if succeeded else 1


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser("compare", __doc__)
    add_models(parser, "weights that all servers load")
    parser.add_argument(
        "--loads", type=load_names, default=list(LOADS), metavar="NAME,…", help=f"loads to run: {', '.join(LOADS)}"
    )
    add_rounds(parser)
    add_threads(parser)
    add_ponant(parser)
    add_llama_server(parser)
    parser.add_argument(
        "--baseline",
        type=ponant_of_checkout,
        metavar="PATH",
        help="another checkout of Ponant with its .venv, or its ponant program: the only peer",
    )
    add_output(parser, "also write the tables to a file")
    return parser.parse_args()


def load_names(text: str) -> list[str]:
    """Parse names of loads, separated by commas."""
    names = text.split(",")
    unknown = [name for name in names if name not in LOADS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no load is called {', '.join(unknown)}; there are {', '.join(LOADS)}")
    return names


def ponant_of_checkout(text: str) -> str:
    """Return the path of a checkout's ponant program, or of the program itself."""
    path = Path(text)
    program = path / ".venv" / "bin" / "ponant" if path.is_dir() else path
    if not program.is_file():
        raise argparse.ArgumentTypeError(f"there is no program {program}")
    return str(program.absolute())


def find_peers(arguments: argparse.Namespace) -> list[Contender]:
    """Return the baseline, or else the installed peers, each once."""
    if arguments.baseline:
        return [replace(find_ponant(arguments.baseline), name="baseline")]
    peers = {peer.name: peer for peer in find_llama_server(arguments.llama_server)}
    for peer in filter(None, map(find, OTHERS)):
        peers.setdefault(peer.name, peer)
    return list(peers.values())


def make_comparisons(names: list[str], ponant: Contender, peers: list[Contender]) -> list[Comparison]:
    """Return the comparisons of the named loads, in the order of `LOADS`."""
    comparisons: list[Comparison] = []
    for name in (name for name in LOADS if name in names):
        match name:
            case "prediction":
                comparisons += against_no_drafting(ponant)
            case "prepared":
                comparisons.append(against_unprepared(ponant, peers))
            case _:
                comparisons.append(compare_all(ponant, peers, *AGAINST_PEERS[name]))
    return comparisons


def against_no_drafting(ponant: Contender) -> list[Comparison]:
    """Return the comparisons of drafting with no drafting, with good and useless predictions.

    The prefix cache is off, so that every prompt is computed: the requests share prompts.
    """
    off = variant(ponant, "no drafting", PONANT_DRAFTING="false", PONANT_PREFIX_CACHE="off")
    on = variant(ponant, "drafting", PONANT_DRAFTING="true", PONANT_PREFIX_CACHE="off")
    repeating = Trial(off, SHORT, Rewriting(Prediction.NOTHING))
    talking = Trial(off, SHORT, Chat(ONE_CLIENT_GREEDY, PREDICTED))
    pairs: list[tuple[Scenario, Trial]] = [
        (Rewriting(Prediction.OLD_FILE), repeating),
        (Rewriting(Prediction.ANSWER), repeating),
        (Rewriting(Prediction.NOTHING), repeating),
        (Chat(USELESS_PREDICTION, PREDICTED), talking),
        (Chat(ONE_CLIENT_GREEDY, PREDICTED), talking),
    ]
    return [Comparison(scenario.name, Trial(on, SHORT, scenario), (without,)) for scenario, without in pairs]


def against_unprepared(ponant: Contender, peers: list[Contender]) -> Comparison:
    """Return the comparison of Ponant with prepared weights with Ponant and its peers with the original file."""
    prepared = variant(ponant, "prepared weights", PONANT_PREPARE_WEIGHTS="on")
    comparison = compare_all(prepared, [ponant, *peers], SHORT, Chat(SIXTEEN_CLIENTS, RATES))
    return replace(comparison, name=f"{comparison.name}, with prepared weights")


def variant(contender: Contender, label: str, **settings: str) -> Contender:
    """Return a contender with other settings, which its name mentions."""
    return replace(contender, name=f"{contender.name}, {label}", settings=settings)


if __name__ == "__main__":
    run(main)
