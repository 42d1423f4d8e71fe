"""The states of one kind of job, and the order in which they can follow each other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

CANCELLATION_REQUESTED = "CANCELLATION_REQUESTED"
CANCELLED = "CANCELLED"


@dataclass(frozen=True)
class JobStates:
    """The states of one kind of job.

    A state that can be followed by ``CANCELLED`` is cancelled at once. In a state that can be followed by
    ``CANCELLATION_REQUESTED`` instead, a process works on the job and has to end first.

    Attributes:
        first: state of a new job.
        after: the states that can follow each state. A job in any other state is at its end.
    """

    first: str
    after: Mapping[str, Collection[str]]

    def can_follow(self, state: str, following: str) -> bool:
        """True if a job can change from ``state`` to ``following``."""
        return following in self.after.get(state, ())

    def is_end(self, state: str) -> bool:
        """True if nothing follows the state."""
        return state not in self.after

    def on_cancel(self, state: str) -> str:
        """Return the state that a job takes when it is cancelled in ``state``."""
        return CANCELLED if self.can_follow(state, CANCELLED) else CANCELLATION_REQUESTED
