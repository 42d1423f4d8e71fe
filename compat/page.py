"""The generated parts of docs/compatibility.md."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from compat.environments import Client, Language
from compat.results import ABILITIES, Case, cells

PAGE = Path(__file__).parent.parent / "docs" / "compatibility.md"
_TITLES = ("client", "package", "version", *ABILITIES.values(), "what does not work")
_SOURCES: dict[Language, str] = {"python": "PyPI", "javascript": "npm", "java": "JDK"}


class Page:
    """The page. Its generated parts stand between comments with their names."""

    def __init__(self, text: str) -> None:
        """Take the text of the page."""
        self.text = text

    def part(self, name: str) -> str:
        """Return the text of a part."""
        match = self._pattern(name).search(self.text)
        if not match:
            raise LookupError(f"the page has no part {name!r}")
        return match[2]

    def replace(self, name: str, content: str) -> None:
        """Replace the text of a part."""
        self.part(name)
        self.text = self._pattern(name).sub(lambda match: f"{match[1]}{content}{match[3]}", self.text)

    @staticmethod
    def _pattern(name: str) -> re.Pattern[str]:
        return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end of {name} -->)", re.DOTALL)


def with_results(text: str, clients: Sequence[Client], measured: Mapping[str, Sequence[Case]]) -> str:
    """Return the text of the page with new results; clients without new results keep theirs.

    Args:
        text: the current page.
        clients: all clients.
        measured: the tests of the clients that ran, by the client's name.
    """
    page = Page(text)
    known = {line.split(" | ")[0].removeprefix("| "): line for line in page.part("table").splitlines()[2:]}
    known |= {name: _row(client, measured[name]) for client in clients if (name := client.name) in measured}
    rows = [known[client.name] for client in clients if client.name in known]
    head = [_line(_TITLES), _line(["---"] * len(_TITLES))]
    page.replace("table", "".join(f"{line}\n" for line in [*head, *rows]))
    page.replace("examples", "\n".join(_example(client) for client in clients))
    for client in clients:
        if groups := _groups(measured.get(client.name, ())):
            page.replace(f"groups of {client.name}", "\n".join(_group(*group) for group in groups.items()))
    return page.text


def _row(client: Client, cases: Iterable[Case]) -> str:
    own = [case for case in cases if not case.group]
    reasons = dict.fromkeys(case.reason for case in own if case.outcome != "passed" and case.reason)
    package = f"`{client.package}` ({_SOURCES[client.language]})"
    return _line([client.name, package, client.version, *cells(own), "; ".join(reasons) or "-"])


def _line(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |"


def _example(client: Client) -> str:
    return f"### {client.name}\n\n```{client.language}\n{client.example.read_text()}```\n"


def _groups(cases: Iterable[Case]) -> dict[str, list[Case]]:
    groups: dict[str, list[Case]] = {}
    for case in cases:
        if case.group:
            groups.setdefault(case.group, []).append(case)
    return groups


def _group(name: str, cases: Sequence[Case]) -> str:
    passed = sum(case.outcome == "passed" for case in cases)
    lines = [f"`{name}`: {passed} of {len(cases)} pass whatever the model says."]
    others = [f"| `{case.name}` | {case.outcome} | {case.reason} |" for case in cases if case.outcome != "passed"]
    if others:
        lines += ["", "| test | outcome | why |", "|---|---|---|", *others]
    return "".join(f"{line}\n" for line in lines)
