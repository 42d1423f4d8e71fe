"""What the tests of a client showed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

ABILITIES = {
    "chat": "chat",
    "stream": "stream",
    "tools": "tools",
    "structured": "structured output",
    "embeddings": "embeddings",
    "fim": "FIM",
    "async": "async",
}
"""What is tested of a client, by the first word of the test's name, and what the page calls it."""

Outcome = Literal["passed", "failed", "expected to fail", "by the model", "skipped"]
BY_THE_MODEL = "by the model"
"""What the tests that depend on what the model says have in their report, with why; they may pass or fail."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test.

    Attributes:
        group: the class of tests that it belongs to, if any.
        name: of the test.
        outcome: how it ended.
        reason: why it was skipped, is expected to fail, or depends on the model.
    """

    group: str
    name: str
    outcome: Outcome
    reason: str = ""

    @property
    def ability(self) -> str:
        """The first word of its name, of ``ABILITIES`` or not."""
        return re.split("[^a-z]", self.name.removeprefix("test_"), maxsplit=1)[0]


def read_report(report: Path) -> list[Case]:
    """The tests in a JUnit report. Without a report there are none, as when nothing could be imported."""
    if not report.exists():
        return []
    return [_case(element) for element in ElementTree.parse(report).iter("testcase")]


def cells(cases: Sequence[Case]) -> list[str]:
    """For each ability what the tests of it showed: yes, no, in part, or by the model; a dash where there are none."""
    return [_cell([case.outcome for case in cases if case.ability == ability]) for ability in ABILITIES]


def _cell(outcomes: list[Outcome]) -> str:
    if not outcomes:
        return "-"
    if set(outcomes) == {"by the model"}:
        return "by the model"
    passed = outcomes.count("passed")
    return "yes" if passed == len(outcomes) else "in part" if passed else "no"


def _case(element: ElementTree.Element) -> Case:
    group = element.get("classname", "").rpartition(".")[2]
    outcome: Outcome = "passed"
    reason = ""
    for child in element:
        if child.tag in ("failure", "error"):
            outcome = "failed"
        elif child.tag == "skipped":
            outcome = "expected to fail" if child.get("type") == "pytest.xfail" else "skipped"
            reason = child.get("message", "")
    for property_ in element.iterfind(f"properties/property[@name='{BY_THE_MODEL}']"):
        outcome, reason = "by the model", property_.get("value", "")
    return Case(group if group.startswith("Test") else "", element.get("name", ""), outcome, reason)
