"""Results of the parts of a run."""

from collections import Counter
from dataclasses import dataclass, field

from hostile.findings import Finding
from hostile.rules import Answered, is_failure


@dataclass
class Part:
    """Results of one part of a run. Figures that it does not measure are None.

    Attributes:
        name: name of the part.
        requests: requests, connections or kills.
        statuses: number of replies by status; 0 stands for no reply.
        worst_turn: most processor time of the loop's thread between two polls, in seconds.
        longest_health: longest answer of ``/health`` in seconds.
        largest_error: largest reply with an error in bytes.
        worst_memory: peak of additional memory in bytes.
        kept_memory: memory at the end, less that after the first requests, in bytes.
        recoveries: times until requests were answered again, in seconds.
        rate: rate of ordinary streams next to a hostile client, as a fraction of their rate alone.
        findings: violated rules.
        culprits: the subject of each worst figure, by the name of the figure.
    """

    name: str
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    worst_turn: float | None = None
    longest_health: float | None = None
    largest_error: int | None = None
    worst_memory: int | None = None
    kept_memory: int | None = None
    recoveries: list[float] = field(default_factory=list)
    rate: float | None = None
    findings: list[Finding] = field(default_factory=list)
    culprits: dict[str, str] = field(default_factory=dict)

    def add(self, answered: Answered) -> None:
        """Add the figures of a request."""
        name, reply, counts = answered.request.name, answered.reply, answered.measured.counts
        self.requests += 1
        self.statuses[reply.status] += 1
        if counts.worst_turn > (self.worst_turn or 0):
            self.worst_turn, self.culprits["gap"] = counts.worst_turn, name
        if reply.status >= 400 and reply.size > (self.largest_error or 0):
            self.largest_error, self.culprits["error"] = reply.size, name
        if answered.growth > (self.worst_memory or -1):
            self.worst_memory, self.culprits["memory"] = answered.growth, name

    @property
    def server_errors(self) -> int:
        """Number of replies with a status of 500 or above, except 503 and 507."""
        return sum(count for status, count in self.statuses.items() if is_failure(status))
