"""What embeddings cost, and what their smaller forms lose: `python -m benchmarks.embeddings URL`.

Short texts are embedded in one call and in one call each, in turn. Then the nearest neighbours of many texts are looked
for with each type of number and with fewer dimensions: shown is how many of those that whole vectors have are found.
"""

import argparse
import inspect
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray

from benchmarks.chat import positive
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
"""Modules of the standard library whose documentation is the corpus."""
LONGEST_TEXT = 160
SHORTEST_TEXT = 40

Floats = NDArray[np.float32]
Vectors = NDArray[np.float64]


def main() -> int:
    """Run the program; return its exit code: 2 when the server does not answer as it should."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embeddings", description=__doc__)
    parser.add_argument("url", help="the server's address")
    parser.add_argument("--model", default="mistral-embed", help="name of the model (%(default)s)")
    parser.add_argument("--rounds", type=positive, default=5, help="how often each way is timed (%(default)s)")
    parser.add_argument("--corpus", type=int, default=1000, help="texts to look for neighbours in; 0 for no such thing")
    arguments = parser.parse_args()
    with httpx2.Client(base_url=arguments.url, timeout=600) as client:
        try:
            print("\n".join(compare_calls(client, arguments.model, arguments.rounds)))
            if arguments.corpus:
                vectors = embed_all(client, arguments.model, corpus()[: arguments.corpus])
                print("\n".join(compare_forms(vectors)))
        except httpx2.HTTPError as error:
            print(f"{arguments.url}: {error}", file=sys.stderr)
            return 2
    return 0


def compare_calls(client: httpx2.Client, model: str, rounds: int) -> list[str]:
    """Time many texts in one call and in many; return a table."""

    def at_once() -> None:
        embed(client, model, TEXTS)

    def one_by_one() -> None:
        for text in TEXTS:
            embed(client, model, [text])

    at_once()
    times = [(seconds(at_once), seconds(one_by_one)) for _ in range(rounds)]
    together, apart = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(one / many for one, many in times)
    return [
        f"| {len(TEXTS)} texts | seconds | texts/s |",
        "|---|---|---|",
        f"| in one call | {together:.2f} | {len(TEXTS) / together:.0f} |",
        f"| in {len(TEXTS)} calls | {apart:.2f} | {len(TEXTS) / apart:.0f} |",
        "",
        f"One call takes {ratio:.2f} of the time.",
        "",
    ]


def compare_forms(vectors: Floats) -> list[str]:
    """Look for neighbours with each form of the vectors; return a table."""
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
    return [
        f"| of {NEIGHBOURS} neighbours among {len(vectors)} texts are found with | by cosine | by dot product |",
        "|---|---|---|",
        *(row(name, form, expected) for name, form in forms.items()),
    ]


def row(name: str, vectors: Vectors, expected: NDArray[np.intp]) -> str:
    """A line of the table."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    by_cosine, by_product = (share_found(nearest(scores), expected) for scores in (unit @ unit.T, vectors @ vectors.T))
    return f"| {name} | {by_cosine:.1%} | {by_product:.1%} |"


def share_found(found: NDArray[np.intp], expected: NDArray[np.intp]) -> float:
    """How many of the neighbours expected were found."""
    pairs = zip(found.tolist(), expected.tolist(), strict=True)
    return statistics.fmean(len({*some} & {*wanted}) / NEIGHBOURS for some, wanted in pairs)


def nearest(scores: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """The neighbours of each text, by the scores of all pairs."""
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]


def corpus() -> list[str]:
    """Beginnings of docstrings, each of them once."""
    texts: list[str] = []
    for name in MODULES:
        module = import_module(name)
        for part in vars(module).values():
            members = vars(part).values() if inspect.isclass(part) and part.__module__ == name else ()
            texts += [" ".join(text.split())[:LONGEST_TEXT] for text in map(documentation, (part, *members)) if text]
    return [text for text in dict.fromkeys(texts) if len(text) >= SHORTEST_TEXT]


def documentation(part: object) -> str | None:
    """The docstring of something, if it has one."""
    text = getattr(part, "__doc__", None)
    return text if isinstance(text, str) else None


def embed_all(client: httpx2.Client, model: str, texts: list[str]) -> Floats:
    """The vectors of many texts: (texts, dimensions)."""
    calls = range(0, len(texts), TEXTS_PER_CALL)
    return np.concatenate([embed(client, model, texts[at : at + TEXTS_PER_CALL]) for at in calls])


def embed(client: httpx2.Client, model: str, texts: list[str]) -> Floats:
    """The vectors of the texts of one call."""
    response = client.post("/v1/embeddings", json={"model": model, "input": texts})
    response.raise_for_status()
    return np.array([entry["embedding"] for entry in response.json()["data"]], dtype=np.float32)


def seconds(work: Callable[[], None]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
