"""Compare treatments of long texts by retrieval: `python -m benchmarks.long_texts [--characters 4000,12000]`.

The documents are parts of this repository's pages, or docstrings of modules of Python's standard library, each longer
than the 512 tokens that multilingual-e5-small computes at once. Sentences are taken out of each document, evenly over
its length, and searched for: the document that has lost a sentence should be the nearest one (the inverse cloze task).
The treatments are those of the setting `long_texts`.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from benchmarks.cli import make_parser, run
from benchmarks.embeddings import MODULES
from benchmarks.report import Table, publish
from ponant import Mistral

ROOT = Path(__file__).parents[1]
TREATMENTS = ("mean", "truncate")
QUERIES = 4
"""Sentences taken out of each document."""
SHORTEST_SENTENCE, LONGEST_SENTENCE = 60, 300
MODEL = "multilingual-e5-small"

Vectors = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Document:
    """A document, and the sentences that were taken out of it."""

    text: str
    queries: Sequence[str]


def main() -> int:
    """Run the program; return its exit code."""
    parser = make_parser("long_texts", __doc__)
    parser.add_argument(
        "--characters", default="4000,12000", help="lengths of the documents in characters (%(default)s)"
    )
    parser.add_argument("--corpus", choices=CORPORA, default="pages", help="texts of the documents (%(default)s)")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.characters.split(",")]
    served = [{"source": MODEL, "id": treatment, "long_texts": treatment} for treatment in TREATMENTS]
    served.append({"source": MODEL, "id": "query", "embed_as": "query"})
    with Mistral.local(models=served, preload="none", request_timeout=7200) as mistral:
        for size in sizes:
            publish(compare(mistral, CORPORA[arguments.corpus](size), size))
    return 0


def pages(size: int) -> list[Document]:
    """Return parts of about a number of characters of this repository's pages."""
    paths = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), ROOT / "benchmarks" / "README.md"])
    return list(_documents((sentence for path in paths for sentence in _sentences(path)), size))


def modules(size: int) -> list[Document]:
    """Return the first docstrings of each module, of about a number of characters, unless it has fewer."""
    found = (next(_documents(_docstrings(import_module(name)), size), None) for name in MODULES)
    return [document for document in found if document]


CORPORA: Mapping[str, Callable[[int], list[Document]]] = {"pages": pages, "modules": modules}


def _documents(sentences: Iterable[str], size: int) -> Iterator[Document]:
    part: list[str] = []
    for sentence in sentences:
        part.append(sentence)
        if sum(map(len, part)) >= size:
            yield _without_queries(part)
            part = []


def _docstrings(module: ModuleType) -> Iterator[str]:
    """Yield the sentences of the docstrings of a module, its classes and functions."""
    members = [member for _, member in sorted(vars(module).items()) if inspect.isclass(member) or callable(member)]
    own = [member for member in members if str(getattr(member, "__module__", "")).startswith(module.__name__)]
    methods = [method for kind in own if inspect.isclass(kind) for method in vars(kind).values() if callable(method)]
    for member in (module, *own, *methods):
        text = " ".join((inspect.getdoc(member) or "").split())
        yield from re.split(r"(?<=[.:])\s+", text)


def _sentences(path: Path) -> Iterator[str]:
    """Yield the sentences of a page, without its headings, tables and code."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip().splitlines()
        if lines and not lines[0].startswith(("#", "|", "<")):
            yield from re.split(r"(?<=[.:])\s+", " ".join(line.strip() for line in lines))


def _without_queries(sentences: Sequence[str]) -> Document:
    """Return a document without some of its sentences, which are evenly spread over it."""
    places = [
        place for place, sentence in enumerate(sentences) if SHORTEST_SENTENCE <= len(sentence) <= LONGEST_SENTENCE
    ]
    chosen = {places[(2 * number + 1) * len(places) // (2 * QUERIES)] for number in range(QUERIES)}
    rest = " ".join(sentence for place, sentence in enumerate(sentences) if place not in chosen)
    return Document(rest, [sentences[place] for place in sorted(chosen)])


def compare(mistral: Mistral, corpus: Sequence[Document], size: int) -> list[str]:
    """Return the table of the sentences whose document is found, for each treatment."""
    queries = _embed(mistral, "query", [query for document in corpus for query in document.queries])
    expected = np.array([index for index, document in enumerate(corpus) for _ in document.queries])
    rows = []
    for treatment in TREATMENTS:
        vectors = _embed(mistral, treatment, [document.text for document in corpus])
        scores = queries @ vectors.T
        own = scores[np.arange(len(expected)), expected]
        ranks = (scores > own[:, None]).sum(axis=1) + 1
        found = [f"{100 * (ranks <= most).mean():.1f}%" for most in (1, 3, 10)]
        rows.append([treatment, *found, f"{(1 / ranks).mean():.3f}"])
    heading = f"{len(corpus)} documents of {size} characters, {len(expected)} sentences:"
    columns = ["`long_texts`", "first", "first three", "first ten", "mean reciprocal rank"]
    return ["", heading, "", *Table(columns, text=columns[:1]).lines(rows)]


def _embed(mistral: Mistral, model: str, texts: Sequence[str]) -> Vectors:
    vectors: list[object] = []
    for text in texts:  # one by one, as they are long
        response = mistral.embeddings.create(model=model, inputs=text)
        vectors.append(response.data[0].embedding)
    return np.array(vectors, dtype=np.float64)


if __name__ == "__main__":
    run(main)
