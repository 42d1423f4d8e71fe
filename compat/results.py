"""Results of a client's tests."""

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
"""Columns of the page by the first word of a test's name."""

Outcome = Literal["passed", "failed", "expected to fail", "by the model", "skipped"]
BY_THE_MODEL = "by the model"
"""Property in the report of tests whose result depends on the model's answer. They may pass or fail."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test.

    Attributes:
        group: class of the test, if it has one.
        name: name of the test.
        outcome: result.
        reason: reason of a skip, of an expected failure, or of the dependence on the model.
    """

    group: str
    name: str
    outcome: Outcome
    reason: str = ""

    @property
    def ability(self) -> str:
        """First word of the name; it need not be one of ``ABILITIES``."""
        return re.split("[^a-z]", self.name.removeprefix("test_"), maxsplit=1)[0]


def read_report(report: Path) -> list[Case]:
    """Return the tests of a JUnit report; none if there is no report, as after a failed import."""
    if not report.exists():
        return []
    return [_case(element) for element in ElementTree.parse(report).iter("testcase")]


def cells(cases: Sequence[Case]) -> list[str]:
    """Return a cell for each ability: yes, no, in part, by the model, or a dash without tests."""
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
