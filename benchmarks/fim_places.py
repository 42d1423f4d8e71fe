"""Count how often code that a model fills in can be parsed: `python -m benchmarks.fim_places MODEL.gguf`.

In 40 files of Python's standard library, one statement inside a function is cut out, or the rest of its first line. The
model fills the gap, given the text around it; then the whole file is parsed with the filling. The servers are Ponant
(`/v1/fim/completions`) and, if it is found, llama-server (`/infill`), with the same file and at temperature 0. The
figures do not depend on the load of the machine.
"""

import argparse
import ast
import platform
import random
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.cli import add_llama_server, add_model, add_output, add_ponant, add_threads, make_parser, run
from benchmarks.exchange import Dialect
from benchmarks.report import Table, publish, write
from benchmarks.servers import (
    Contender,
    Resources,
    Setup,
    find_llama_server,
    find_ponant,
    open_resources,
    running,
)

SETUP = Setup("one sequence", parallel=1, cells=4_096)
PLACES = 40
MOST_TOKENS = 96
CHARACTERS_BEFORE, CHARACTERS_AFTER = 1_500, 500
"""The text that a model gets: short enough for llama-server, which cuts both parts to fit one batch."""
SMALLEST_FILE, LARGEST_FILE = 4_000, 60_000
"""Sizes of the files, in bytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A gap in a file: the text before it, its original text, and the text after it."""

    file: str
    line: int
    before: str
    gap: str
    after: str

    def parses_with(self, filling: str) -> bool:
        """Return True if the file is valid Python with this text in the gap."""
        return parses(self.before + filling + self.after)


TOTALS: tuple[tuple[str, Callable[[Place, str], bool]], ...] = (
    ("still parse", Place.parses_with),
    ("are what they were", lambda place, text: place.gap.split() == text.split()),
)


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    ponant = find_ponant(arguments.ponant)
    contenders = [ponant, *find_llama_server(arguments.llama_server)]
    places = find_places()
    with open_resources(ponant, arguments.model, arguments.threads) as resources:
        fillings = {contender.name: fill(contender, resources, places) for contender in contenders}
    publish(format_totals(places, fillings))
    write(format_fillings(places, fillings), arguments.answers)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser("fim_places", __doc__)
    add_model(parser)
    add_threads(parser)
    add_ponant(parser)
    add_llama_server(parser)
    add_output(parser, "also write every filling to a file", option="--answers")
    return parser.parse_args()


def find_places() -> list[Place]:
    """Return the places, which depend on the version of the standard library only."""
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
    """Return a place in a file: a whole statement, or the second half of its first line."""
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
    """Return True if a text is valid Python."""
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def fill(contender: Contender, resources: Resources, places: list[Place]) -> list[str]:
    """Start a server, have it fill all places one after the other, and stop it."""
    ask = ask_llama_server if contender.kind.dialect is Dialect.OPENAI else ask_ponant
    with (
        running(contender, resources, SETUP) as server,
        httpx2.Client(base_url=server.target.endpoint.base_url, timeout=300) as client,
    ):
        return [ask(client, place.before[-CHARACTERS_BEFORE:], place.after[:CHARACTERS_AFTER]) for place in places]


def ask_ponant(client: httpx2.Client, before: str, after: str) -> str:
    """Return a filling by Mistral's API."""
    body = {"model": "codestral-latest", "prompt": before, "suffix": after}
    answer = post(client, "/v1/fim/completions", {**body, "max_tokens": MOST_TOKENS, "temperature": 0})
    return str(answer["choices"][0]["message"]["content"])


def ask_llama_server(client: httpx2.Client, before: str, after: str) -> str:
    """Return a filling by llama-server's API."""
    body = {"input_prefix": before, "input_suffix": after}
    return str(post(client, "/infill", {**body, "n_predict": MOST_TOKENS, "temperature": 0})["content"])


def post(client: httpx2.Client, path: str, body: dict[str, Any]) -> Any:
    """Send a request; return the JSON of the response."""
    response = client.post(path, json=body)
    response.raise_for_status()
    return response.json()


def format_totals(places: list[Place], fillings: dict[str, list[str]]) -> Iterator[str]:
    """Yield the table of the fillings that parse, and of those that restore the original text."""
    yield f"{len(places)} places in the standard library of Python {platform.python_version()}."
    yield ""
    title_column = f"of {len(places)} files"
    table = Table((title_column, *fillings), text=(title_column,))
    yield from table.lines(
        (title, *(sum(map(counts, places, texts)) for texts in fillings.values())) for title, counts in TOTALS
    )


def format_fillings(places: list[Place], fillings: dict[str, list[str]]) -> Iterator[str]:
    """Yield every filling with its verdict."""
    for index, place in enumerate(places):
        yield f"{index + 1}. {place.file}:{place.line}: {place.gap!r}"
        for name, texts in fillings.items():
            verdict = "parses" if place.parses_with(texts[index]) else "does not parse"
            yield f"   - {name}, {verdict}: {texts[index]!r}"


if __name__ == "__main__":
    run(main)
