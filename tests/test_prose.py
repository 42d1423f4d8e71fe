"""Docstrings begin with a noun or a verb, and neither they nor comments speak of software as of people."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "benchmarks", "browser", "compat", "faults", "hostile", "samples_run", "tests")
SUBORDINATE = re.compile(r"(What|Whether|Which|Who|Whose|How|Why|Where|When|If|That)\b")
PERSONAL = re.compile(
    r"\b(who|whom|whoever|nobody|somebody|everybody|(is|are|was|were) told|told of|so many|goes on|beside|knows)\b",
    re.IGNORECASE,
)


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of modules, classes, functions and attributes, with their lines."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.lineno, value.value.strip()


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the comments with their lines; none if no line of the source is of interest, as this takes time."""
    if not PERSONAL.search(source):
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def bad_lines(path: Path) -> Iterator[str]:
    """Yield the texts of a file that do not read as they should, with their lines."""
    source = path.read_text()
    texts = list(docstrings(source))
    for line, text in texts:
        if SUBORDINATE.match(text):
            yield f"{path}:{line}: {text.splitlines()[0]}"
    for line, text in [*texts, *comments(source)]:
        if found := PERSONAL.search(re.sub(r'"[^"\n]*"', "", text)):
            yield f"{path}:{line}: {found[0]!r} in {text[max(0, found.start() - 40) : found.end() + 40]!r}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_prose_names_the_thing(folder: str) -> None:
    paths = [path for path in sorted((ROOT / folder).rglob("*.py")) if path != Path(__file__)]
    bad = [line for path in paths for line in bad_lines(path)]
    assert not bad, "\n".join(bad)
