"""The queue of an embedder. It takes one window of each request in turn, so small requests overtake large ones."""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ponant.engine.embed.base import EmbeddingText
from ponant.engine.embed.model import PreparedText, Window
from ponant.engine.embed.vectors import normalized

Content = TypeVar("Content")


class Job(Generic[Content]):
    """A running request. The windows of its texts are computed in any order."""

    def __init__(self, request_id: int, texts: Sequence[EmbeddingText], dimensions: int) -> None:
        self.id = request_id
        self.texts = texts
        self.prepared: list[PreparedText[Content]] = []
        self._dimensions = dimensions
        self._windows: list[tuple[int, Window[Content]]] = []
        """Windows of all texts in order, each with the index of its text."""
        self._vectors: list[NDArray[np.float32] | None] = []
        self._taken = 0
        self._computed = 0

    @property
    def is_prepared(self) -> bool:
        """True if all texts are prepared."""
        return len(self.prepared) == len(self.texts)

    @property
    def is_taken(self) -> bool:
        """True if every window is in a batch, or was in one."""
        return self._taken == len(self._windows)

    @property
    def is_done(self) -> bool:
        """True if all vectors are computed."""
        return self._computed == len(self._windows)

    @property
    def next_tokens(self) -> int:
        """Number of tokens of the next window."""
        return self._windows[self._taken][1].tokens

    def prepare(self, text: PreparedText[Content]) -> None:
        """Add the next text."""
        self._windows += [(len(self.prepared), window) for window in text.windows]
        self._vectors += [None] * len(text.windows)
        self.prepared.append(text)

    def take(self) -> int:
        """Take the next window; returns its index."""
        self._taken += 1
        return self._taken - 1

    def window(self, index: int) -> Window[Content]:
        """Return a window."""
        return self._windows[index][1]

    def text_of(self, index: int) -> int:
        """Return the index of the text that has a window."""
        return self._windows[index][0]

    def put(self, index: int, vector: NDArray[np.float32]) -> None:
        """Store the vector of a window."""
        self._vectors[index] = vector
        self._computed += 1

    def vectors(self) -> NDArray[np.float32]:
        """Return the vectors of the texts, of shape (texts, dimensions).

        The vector of a text with several windows is their mean, weighted by their tokens and scaled to length 1.
        """
        result = np.zeros((len(self.texts), self._dimensions), dtype=np.float32)
        for (text, window), vector in zip(self._windows, self._vectors, strict=True):
            assert vector is not None
            if len(self.prepared[text].windows) == 1:
                result[text] = vector
            else:
                result[text] += vector * np.float32(window.tokens / self.prepared[text].tokens)
        split = [text for text, prepared in enumerate(self.prepared) if len(prepared.windows) > 1]
        result[split] = normalized(result[split])
        return result


class EmbeddingQueue(Generic[Content]):
    """The running requests. All texts of a request are prepared before the first of them is computed."""

    def __init__(self) -> None:
        self._unprepared: deque[Job[Content]] = deque()
        self._prepared: deque[Job[Content]] = deque()

    @property
    def idle(self) -> bool:
        """True if there is no request."""
        return not (self._unprepared or self._prepared)

    def add(self, job: Job[Content]) -> None:
        """Add a request with unprepared texts."""
        self._unprepared.append(job)

    def drop(self, request_id: int) -> None:
        """Remove a request."""
        self._unprepared = deque(job for job in self._unprepared if job.id != request_id)
        self._prepared = deque(job for job in self._prepared if job.id != request_id)

    def next_to_prepare(self) -> Job[Content] | None:
        """Return the request with the next text to prepare: each call another one."""
        while self._unprepared and self._unprepared[0].is_prepared:
            self._prepared.append(self._unprepared.popleft())
        self._unprepared.rotate(-1)
        return self._unprepared[-1] if self._unprepared else None

    def next_step(self, *, most_tokens: int, most_texts: int) -> list[tuple[Job[Content], int]]:
        """Take the windows of the next batch: one of each request, then the next one of each.

        Args:
            most_tokens: most tokens of a batch; a single window may have more.
            most_texts: most windows of a batch.

        Returns:
            Pairs of a request and the index of its window.
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
