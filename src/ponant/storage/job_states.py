"""States of a kind of job, and their order."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

CANCELLATION_REQUESTED = "CANCELLATION_REQUESTED"
CANCELLED = "CANCELLED"


@dataclass(frozen=True)
class JobStates:
    """States of a kind of job.

    A job is cancelled at once in a state that ``CANCELLED`` can follow. In a state that ``CANCELLATION_REQUESTED`` can
    follow, a process works on the job and has to end first.

    Attributes:
        first: state of a new job.
        after: the states that can follow each state. The other states are final.
    """

    first: str
    after: Mapping[str, Collection[str]]

    def can_follow(self, state: str, following: str) -> bool:
        """Return True if a job can change from ``state`` to ``following``."""
        return following in self.after.get(state, ())

    def is_end(self, state: str) -> bool:
        """Return True if the state is final."""
        return state not in self.after

    def on_cancel(self, state: str) -> str:
        """Return the next state of a job that is cancelled in ``state``."""
        return CANCELLED if self.can_follow(state, CANCELLED) else CANCELLATION_REQUESTED
