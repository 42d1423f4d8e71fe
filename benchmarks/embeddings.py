"""Measure the cost of embeddings and the loss of their smaller forms: `python -m benchmarks.embeddings URL`.

Short texts are embedded in one call and in one call each, in turn. Then the nearest neighbours of many texts are
searched with each type of number and with fewer dimensions; the table shows the share of the neighbours by whole
vectors that each form finds.
"""

import argparse
import inspect
import statistics
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray

from benchmarks.cli import add_rounds, add_url, make_parser, run
from benchmarks.report import Table, publish, seconds
from benchmarks.servers import ServerError
from benchmarks.stream_client import Endpoint
from ponant.embedding.numbers import quantized, shortened

TEXTS = [f"How do I bake bread number {number}?" for number in range(64)]
NEIGHBOURS = 10
TEXTS_PER_CALL = 64
MODULES = (
    *("argparse", "collections", "csv", "datetime", "decimal", "difflib", "fractions", "ftplib", "functools", "heapq"),
    *("imaplib", "json", "logging", "mailbox", "numbers", "os", "pathlib", "pickle", "random", "sched", "shutil"),
    *("smtplib", "socket", "sqlite3", "ssl", "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap"),
    *("threading", "turtle", "unittest.mock", "urllib.request", "uuid", "xml.dom.minidom", "zipfile"),
)
"""Modules of the standard library whose docstrings are the corpus."""
LONGEST_TEXT = 160
SHORTEST_TEXT = 40

Floats = NDArray[np.float32]
Vectors = NDArray[np.float64]


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    with httpx2.Client(base_url=Endpoint.parse(arguments.url).base_url, timeout=600) as client:
        try:
            publish(compare_calls(client, arguments.model, arguments.rounds))
            if arguments.corpus:
                vectors = embed_all(client, arguments.model, corpus()[: arguments.corpus])
                publish(compare_forms(vectors))
        except httpx2.HTTPError as error:
            raise ServerError(f"{arguments.url}: {error}") from error
    return 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser("embeddings", __doc__)
    add_url(parser)
    parser.add_argument("--model", default="mistral-embed", help="name of the model (%(default)s)")
    add_rounds(parser, default=5)
    parser.add_argument(
        "--corpus", type=int, default=1000, help="texts of the neighbour search, 0 for no search (%(default)s)"
    )
    return parser.parse_args()


def compare_calls(client: httpx2.Client, model: str, rounds: int) -> Iterator[str]:
    """Time many texts in one call and in one call each; yield the report."""

    def at_once() -> None:
        embed(client, model, TEXTS)

    def one_by_one() -> None:
        for text in TEXTS:
            embed(client, model, [text])

    at_once()
    times = [(seconds(at_once), seconds(one_by_one)) for _ in range(rounds)]
    together, apart = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(one / many for one, many in times)
    title_column = f"{len(TEXTS)} texts"
    table = Table((title_column, "seconds", "texts/s"), text=(title_column,))
    yield from table.lines(
        (title, f"{taken:.2f}", f"{len(TEXTS) / taken:.0f}")
        for title, taken in (("in one call", together), (f"in {len(TEXTS)} calls", apart))
    )
    yield from ("", f"One call takes {ratio:.2f} of the time.", "")


def compare_forms(vectors: Floats) -> list[str]:
    """Search the neighbours with each form of the vectors; return a table.

    Args:
        vectors: float32, shape (texts, dimensions).
    """
    expected = nearest(vectors @ vectors.T)
    dimensions = vectors.shape[1]
    bits = np.unpackbits(quantized(vectors, "ubinary").astype(np.uint8), axis=1)[:, :dimensions]
    forms: dict[str, Vectors] = {
        "int8": quantized(vectors, "int8").astype(np.float64),
        "numbers times 127, rounded": np.rint(vectors * 127).astype(np.float64),
        "binary": np.where(bits, 1.0, -1.0),
    }
    for fewer in (2 * dimensions // 3, dimensions // 3, dimensions // 6):
        forms[f"{fewer} of {dimensions} dimensions"] = shortened(vectors, fewer).astype(np.float64)
    title_column = f"of {NEIGHBOURS} neighbours among {len(vectors)} texts are found with"
    table = Table((title_column, "by cosine", "by dot product"), text=(title_column,))
    return table.lines((name, *shares_found(form, expected)) for name, form in forms.items())


def shares_found(vectors: Vectors, expected: NDArray[np.intp]) -> Iterator[str]:
    """Yield the shares of the expected neighbours that are found by cosine and by dot product."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for scores in (unit @ unit.T, vectors @ vectors.T):
        pairs = zip(nearest(scores).tolist(), expected.tolist(), strict=True)
        yield f"{statistics.fmean(len({*found} & {*wanted}) / NEIGHBOURS for found, wanted in pairs):.1%}"


def nearest(scores: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Return the neighbours of each text, shape (texts, neighbours).

    Args:
        scores: The similarity of all pairs, shape (texts, texts).
    """
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]


def corpus() -> list[str]:
    """Return the beginnings of docstrings, without duplicates."""
    texts: list[str] = []
    for name in MODULES:
        module = import_module(name)
        for part in vars(module).values():
            members = vars(part).values() if inspect.isclass(part) and part.__module__ == name else ()
            texts += [" ".join(text.split())[:LONGEST_TEXT] for text in map(docstring, (part, *members)) if text]
    return [text for text in dict.fromkeys(texts) if len(text) >= SHORTEST_TEXT]


def docstring(part: object) -> str | None:
    """Return the docstring of an object, or None."""
    text = getattr(part, "__doc__", None)
    return text if isinstance(text, str) else None


def embed_all(client: httpx2.Client, model: str, texts: list[str]) -> Floats:
    """Return the vectors of many texts: float32, shape (texts, dimensions)."""
    calls = range(0, len(texts), TEXTS_PER_CALL)
    return np.concatenate([embed(client, model, texts[at : at + TEXTS_PER_CALL]) for at in calls])


def embed(client: httpx2.Client, model: str, texts: list[str]) -> Floats:
    """Return the vectors of the texts of one call: float32, shape (texts, dimensions)."""
    response = client.post("/v1/embeddings", json={"model": model, "input": texts})
    response.raise_for_status()
    return np.array([entry["embedding"] for entry in response.json()["data"]], dtype=np.float32)


if __name__ == "__main__":
    run(main)
