"""Which texts an embedder computes next: those of all requests in turn, so that small ones pass by big ones."""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ponant.engine.embed.model import Prepared

Content = TypeVar("Content")


class Job(Generic[Content]):
    """A request under way. ``vectors`` fills up as its texts are computed, in any order."""

    def __init__(self, request_id: int, texts: Sequence[str], dimensions: int) -> None:
        self.id = request_id
        self.texts = texts
        self.prepared: list[Prepared[Content]] = []
        self.vectors: NDArray[np.float32] = np.empty((len(texts), dimensions), dtype=np.float32)
        self._taken = 0
        self._computed = 0

    @property
    def is_prepared(self) -> bool:
        """Whether the tokens of all its texts are known."""
        return len(self.prepared) == len(self.texts)

    @property
    def is_taken(self) -> bool:
        """Whether the last of its texts is being computed, or was."""
        return self._taken == len(self.texts)

    @property
    def is_done(self) -> bool:
        """Whether all its vectors are there."""
        return self._computed == len(self.texts)

    @property
    def next_tokens(self) -> int:
        """How many tokens the text has that is computed next."""
        return self.prepared[self._taken].tokens

    def take(self) -> int:
        """The index of the text that is computed next."""
        self._taken += 1
        return self._taken - 1

    def put(self, index: int, vector: NDArray[np.float32]) -> None:
        """Keep the vector of a text."""
        self.vectors[index] = vector
        self._computed += 1


class EmbeddingQueue(Generic[Content]):
    """The requests under way. The texts of a request are first prepared, all of them, and then computed."""

    def __init__(self) -> None:
        self._unprepared: deque[Job[Content]] = deque()
        self._prepared: deque[Job[Content]] = deque()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._unprepared or self._prepared)

    def add(self, job: Job[Content]) -> None:
        """Take a request, whose texts are not prepared yet."""
        self._unprepared.append(job)

    def drop(self, request_id: int) -> None:
        """Forget a request."""
        self._unprepared = deque(job for job in self._unprepared if job.id != request_id)
        self._prepared = deque(job for job in self._prepared if job.id != request_id)

    def next_to_prepare(self) -> Job[Content] | None:
        """The request of which a text is to be prepared next: another one each time."""
        while self._unprepared and self._unprepared[0].is_prepared:
            self._prepared.append(self._unprepared.popleft())
        self._unprepared.rotate(-1)
        return self._unprepared[-1] if self._unprepared else None

    def next_step(self, *, most_tokens: int, most_texts: int) -> list[tuple[Job[Content], int]]:
        """The texts to be computed together, by request and index: one of each request, then another one of each.

        They are the less than ``most_texts`` and have no more than ``most_tokens`` tokens, unless a single one has.
        """
        step: list[tuple[Job[Content], int]] = []
        tokens = 0
        while self._prepared and len(step) < most_texts:
            job = self._prepared[0]
            tokens += job.next_tokens
            if step and tokens > most_tokens:
                break
            step.append((job, job.take()))
            self._prepared.popleft()
            if not job.is_taken:
                self._prepared.append(job)
        return step
