"""Findings: violations of the rules that hold for every request."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

SHOWN = 40
"""Most findings that are printed one by one."""


@dataclass(frozen=True)
class Finding:
    """A violated rule.

    Attributes:
        rule: short name of the rule.
        subject: request, process or part that violated it.
        detail: measured and allowed values.
    """

    rule: str
    subject: str
    detail: str


@dataclass(frozen=True)
class Expected:
    """A known violation, to be removed once it is fixed. ``subject`` is a pattern with ``*``."""

    rule: str
    subject: str
    reason: str

    def matches(self, finding: Finding) -> bool:
        """True if the finding is this violation."""
        return finding.rule == self.rule and fnmatchcase(finding.subject, self.subject)


@dataclass(frozen=True)
class Verdict:
    """Findings, divided by the list of known ones.

    Attributes:
        new: findings that are not expected.
        known: number of findings by the expected violation.
        unseen: expected violations without a finding.
    """

    new: Sequence[Finding]
    known: Counter[Expected]
    unseen: Sequence[Expected]

    def lines(self) -> list[str]:
        """Return the lines of a report."""
        lines = [f"FAILED {finding.rule}: {finding.subject}: {finding.detail}" for finding in self.new[:SHOWN]]
        if len(self.new) > SHOWN:
            by_rule = Counter(finding.rule for finding in self.new)
            lines.append(f"... {len(self.new)} in all: {', '.join(f'{rule} {n}' for rule, n in by_rule.items())}")
        lines += [f"known  {one.rule}: {one.subject}: {count} times. {one.reason}" for one, count in self.known.items()]
        lines += [f"unseen {one.rule}: {one.subject}. Remove it if it is fixed." for one in self.unseen]
        return lines


def judge(findings: Iterable[Finding], expected: Sequence[Expected]) -> Verdict:
    """Divide findings by the known violations."""
    new: list[Finding] = []
    known: Counter[Expected] = Counter()
    for finding in findings:
        match = next((one for one in expected if one.matches(finding)), None)
        if match is None:
            new.append(finding)
        else:
            known[match] += 1
    return Verdict(new, known, [one for one in expected if one not in known])
