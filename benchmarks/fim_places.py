"""Counts how often code that a model fills in can be parsed: `python -m benchmarks.fim_places MODEL.gguf`.

In 40 files of Python's standard library one statement inside a function is cut out, or the rest of its first line. The
model fills the gap, given what is near it; then the whole file, with the filling, is parsed. Each place is filled by
Ponant (`/v1/fim/completions`) and, where it is found, by llama-server (`/infill`), on the same file and at temperature
0. The figures do not depend on how busy the machine is.
"""

import argparse
import ast
import os
import platform
import random
import signal
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.chat import positive
from benchmarks.compare import interrupt, weights
from benchmarks.dialects import Dialect
from benchmarks.processes import ServerError, running
from benchmarks.servers import LLAMA_SERVER, PONANT, Contender, find
from benchmarks.setups import Given, Setup

SETUP = Setup("one sequence", parallel=1, cells=4_096)
PLACES = 40
MOST_TOKENS = 96
CHARACTERS_BEFORE, CHARACTERS_AFTER = 1_500, 500
"""How much a model sees: little enough for llama-server, which cuts both texts to fit one batch."""
SMALLEST_FILE, LARGEST_FILE = 4_000, 60_000


@dataclass(frozen=True, slots=True)
class Place:
    """A gap in a file: what stands before it, what was in it, and what stands after it."""

    file: str
    line: int
    before: str
    gap: str
    after: str

    def parses_with(self, filling: str) -> bool:
        """Whether the file with this in the gap is valid Python."""
        return parses(self.before + filling + self.after)


TOTALS: tuple[tuple[str, Callable[[Place, str], bool]], ...] = (
    ("still parse", Place.parses_with),
    ("are what they were", lambda place, text: place.gap.split() == text.split()),
)


def main() -> int:
    """Run the program; return its exit code: 2 when it could not begin."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, interrupt)
    ponant = find(PONANT, arguments.ponant)
    if ponant is None:
        print(f"no program {arguments.ponant} found", file=sys.stderr)
        return 2
    peer = find(LLAMA_SERVER, arguments.llama_server)
    if peer is None:
        print(f"no program {arguments.llama_server} found: Ponant is asked alone", file=sys.stderr)
    places = find_places()
    fillings: dict[str, list[str]] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            given = Given(arguments.model.resolve(), arguments.threads, Path(folder))
            for contender in (ponant, peer):
                if contender is not None:
                    fillings[contender.name] = fill(contender, given, places)
    except (ServerError, httpx2.HTTPError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print("\n".join(format_totals(places, fillings)))
    if arguments.answers is not None:
        arguments.answers.write_text("\n".join(format_fillings(places, fillings)) + "\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fim_places", description=__doc__)
    parser.add_argument("model", type=weights, metavar="MODEL.gguf", help="weights that both servers load")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="threads of the engine (%(default)s)")
    parser.add_argument(
        "--ponant", default="ponant", help="the ponant program (default: beside this Python, or on PATH)"
    )
    parser.add_argument("--llama-server", default="llama-server", help="the llama-server program (default: on PATH)")
    parser.add_argument("--answers", type=Path, metavar="FILE.md", help="also write every filling to a file")
    return parser.parse_args()


def find_places() -> list[Place]:
    """The places, the same ones whenever the standard library is the same."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(path for path in library.glob("*.py") if SMALLEST_FILE <= path.stat().st_size <= LARGEST_FILE)
    choice = random.Random(0)
    choice.shuffle(files)
    places: list[Place] = []
    for path in files:
        if len(places) == PLACES:
            break
        if place := find_place(path, choice, whole=len(places) % 2 == 0):
            places.append(place)
    return places


def find_place(path: Path, choice: random.Random, *, whole: bool) -> Place | None:
    """A place in a file: a whole statement, or what comes after the middle of its first line."""
    source = path.read_text()
    lines = source.splitlines(keepends=True)
    if not parses(source) or not source.isascii():
        return None
    statements = [
        statement
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef)
        for statement in function.body[1:]
        if isinstance(statement, ast.Assign | ast.Return | ast.If | ast.For | ast.Expr | ast.AugAssign)
        and not isinstance(getattr(statement, "value", None), ast.Constant)
        and (statement.end_lineno or 0) - statement.lineno < 4
    ]
    if not statements:
        return None
    statement = choice.choice(statements)
    first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
    begins = sum(map(len, lines[:first])) + statement.col_offset
    ends = sum(map(len, lines[: last + 1])) - len("\n")
    if not whole:
        line_ends = sum(map(len, lines[: first + 1])) - len("\n")
        begins, ends = (begins + line_ends) // 2, line_ends
    return Place(path.name, statement.lineno, source[:begins], source[begins:ends], source[ends:])


def parses(source: str) -> bool:
    """Whether a text is valid Python."""
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def fill(contender: Contender, given: Given, places: list[Place]) -> list[str]:
    """Start a server, have it fill all places one after the other, and stop it."""
    ask = ask_llama_server if contender.kind.dialect is Dialect.OPENAI else ask_ponant
    with (
        running(contender, given, SETUP) as server,
        httpx2.Client(base_url=f"http://{server.endpoint.host}:{server.endpoint.port}", timeout=300) as client,
    ):
        return [filling(client, place, ask) for place in places]


def filling(client: httpx2.Client, place: Place, ask: Callable[[httpx2.Client, str, str], str]) -> str:
    """What a server puts into a gap."""
    return ask(client, place.before[-CHARACTERS_BEFORE:], place.after[:CHARACTERS_AFTER])


def ask_ponant(client: httpx2.Client, before: str, after: str) -> str:
    """Ask as Mistral's API has it."""
    body = {"model": "codestral-latest", "prompt": before, "suffix": after}
    answer = post(client, "/v1/fim/completions", {**body, "max_tokens": MOST_TOKENS, "temperature": 0})
    return str(answer["choices"][0]["message"]["content"])


def ask_llama_server(client: httpx2.Client, before: str, after: str) -> str:
    """Ask as llama-server has it."""
    body = {"input_prefix": before, "input_suffix": after}
    return str(post(client, "/infill", {**body, "n_predict": MOST_TOKENS, "temperature": 0})["content"])


def post(client: httpx2.Client, path: str, body: dict[str, Any]) -> Any:
    """Send a request; return the answer."""
    response = client.post(path, json=body)
    response.raise_for_status()
    return response.json()


def format_totals(places: list[Place], fillings: dict[str, list[str]]) -> Iterator[str]:
    """Return the table of how many files can be parsed, and of how many gaps have the words that they had."""
    yield f"{len(places)} places in the standard library of Python {platform.python_version()}."
    yield ""
    yield f"| of {len(places)} files | {' | '.join(fillings)} |"
    yield f"|---|{'---:|' * len(fillings)}"
    for title, counts in TOTALS:
        numbers = [
            str(sum(counts(place, text) for place, text in zip(places, texts, strict=True)))
            for texts in fillings.values()
        ]
        yield f"| {title} | {' | '.join(numbers)} |"


def format_fillings(places: list[Place], fillings: dict[str, list[str]]) -> Iterator[str]:
    """Return every filling, for those who want to know why."""
    for index, place in enumerate(places):
        yield f"{index + 1}. {place.file}:{place.line}: {place.gap!r}"
        for name, texts in fillings.items():
            verdict = "parses" if place.parses_with(texts[index]) else "does not parse"
            yield f"   - {name}, {verdict}: {texts[index]!r}"


if __name__ == "__main__":
    sys.exit(main())
