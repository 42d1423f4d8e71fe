"""Which tokens are computed next.

Sequences wait, first come, first served, until there is a free slot and room in the KV cache. In each step every
running sequence whose prompt is done gets its next token, and what the pacer allows is left for prompts. When the
cache is full the youngest sequence is put back in the queue; it goes on later where it stopped.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Rows
from dataclasses import dataclass, field

from ponant.engine.base import Delta, FinishReason
from ponant.engine.pacing import Pacer
from ponant.engine.sequence import WAITING, Sequence

FIXED_CHUNK = 256
"""Where chunks of prefill end under ``deterministic``: at multiples of this position."""

_HEADROOM = 16
"""Free cells per running sequence that must be left when another one enters, so that it is not put back at once."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """``length`` tokens of a sequence from ``start`` on. ``draws``: the last one's logits give the next token."""

    sequence: Sequence
    start: int
    length: int
    draws: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: empty the ``freed`` slots, then compute the chunks in one batch."""

    freed: list[int]
    chunks: list[Chunk]

    @property
    def decoded(self) -> int:
        """How many sequences get one more token in this step."""
        return sum(chunk.length == 1 for chunk in self.chunks)

    @property
    def prefilled(self) -> int:
        """How many tokens of longer chunks are computed in this step."""
        return sum(chunk.length for chunk in self.chunks if chunk.length > 1)


@dataclass(slots=True)
class Scheduler:
    """Owns the sequences: ``waiting`` ones in the order of arrival, ``running`` ones in the order of entry.

    ``cells`` is the size of the KV cache in tokens, ``parallel`` the number of its slots, ``batch_tokens`` the most
    tokens of a step. Under ``deterministic`` each step has tokens of one sequence only, in chunks with fixed borders,
    and each slot has room for a whole context, so that nothing is ever put back.
    """

    cells: int
    parallel: int
    batch_tokens: int
    end_tokens: frozenset[int]
    pacer: Pacer
    deterministic: bool = False
    waiting: deque[Sequence] = field(default_factory=deque[Sequence])
    running: list[Sequence] = field(default_factory=list[Sequence])
    _free_slots: list[int] = field(init=False)
    _freed_slots: list[int] = field(default_factory=list[int])
    _started: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self._free_slots = list(range(self.parallel - 1, -1, -1))

    @property
    def idle(self) -> bool:
        """Whether there is nothing to compute."""
        return not self.waiting and not self.running

    def add(self, sequences: Iterable[Sequence]) -> None:
        """Queue new sequences."""
        self.waiting.extend(sequences)

    def cancel(self, request_id: int, choice: int | None = None) -> None:
        """Drop a request, or one choice of it; unknown ones are ignored."""

        def concerned(sequence: Sequence) -> bool:
            return sequence.request_id == request_id and choice in (None, sequence.choice)

        if any(map(concerned, self.waiting)):
            self.waiting = deque(sequence for sequence in self.waiting if not concerned(sequence))
        for sequence in [sequence for sequence in self.running if concerned(sequence)]:
            self._leave(sequence)

    def next_step(self) -> Step | None:
        """The next step, or None if there is nothing to compute."""
        self._make_room()
        self._admit()
        if not self.running:
            return None
        chunks = [self._turn_of_one()] if self.deterministic else self._chunks_of_all()
        freed, self._freed_slots = self._freed_slots, []
        return Step(freed, chunks)

    def take_started(self) -> list[int]:
        """Ids of the requests that left the queue for the first time since the last call."""
        started, self._started = self._started, []
        return started

    def advance(self, step: Step, tokens: Rows[int | None]) -> Iterator[tuple[int, Delta]]:
        """Take the tokens drawn for the step's drawing chunks, in their order; None stands for a failure.

        Yields the deltas with the ids of their requests.
        """
        drawn = iter(tokens)
        for chunk in step.chunks:
            sequence = chunk.sequence
            sequence.computed = chunk.start + chunk.length
            if not chunk.draws:
                continue
            token = next(drawn)
            new_tokens: list[int] = []
            finish: FinishReason | None = None
            if token is None:
                finish = "error"
            elif token in self.end_tokens:
                finish = "stop"
            else:
                new_tokens = [token]
                finish = sequence.append(token)
            if finish:
                self._leave(sequence)
            yield sequence.request_id, Delta(sequence.choice, new_tokens, finish)

    def put_back(self) -> None:
        """Move the youngest running sequence back to the head of the queue, to be computed anew."""
        sequence = self.running[-1]
        self._leave(sequence)
        sequence.computed = 0
        self.waiting.appendleft(sequence)

    def put_all_back(self) -> None:
        """Move every running sequence back to the queue: the KV cache is lost."""
        self.running.sort(key=lambda sequence: (sequence.request_id, sequence.choice))
        while self.running:
            self.put_back()

    @property
    def _reserved(self) -> int:
        """Cells that the running sequences need once all their tokens are computed."""
        return sum(len(sequence.tokens) for sequence in self.running)

    def _make_room(self) -> None:
        if self.deterministic:
            return
        while self._reserved > self.cells:
            self.put_back()

    def _admit(self) -> None:
        while self.waiting and self._free_slots and self._fits(self.waiting[0]):
            sequence = self.waiting.popleft()
            if sequence.computed == 0 and sequence.generated == 0:
                self._started.append(sequence.request_id)
            sequence.slot = self._free_slots.pop()
            self.running.append(sequence)

    def _fits(self, sequence: Sequence) -> bool:
        if self.deterministic or not self.running:
            return True
        headroom = _HEADROOM * (len(self.running) + 1)
        return self._reserved + len(sequence.tokens) + headroom <= self.cells

    def _leave(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._free_slots.append(sequence.slot)
        self._freed_slots.append(sequence.slot)
        sequence.slot = WAITING

    def _chunks_of_all(self) -> list[Chunk]:
        chunks = [_chunk(sequence, 1) for sequence in self.running if sequence.remaining == 1]
        prefilling = [sequence for sequence in self.running if sequence.remaining > 1]
        budget = min(self.pacer.prefill_tokens(len(chunks)), self.batch_tokens - len(chunks))
        for sequence, length in _shares(prefilling, budget):
            chunks.append(_chunk(sequence, length))
        return chunks

    def _turn_of_one(self) -> Chunk:
        """The next chunk of the sequence whose turn it is; it goes to the end of the line."""
        sequence = self.running.pop(0)
        self.running.append(sequence)
        if sequence.computed < sequence.prompt_length:
            border = (sequence.computed // FIXED_CHUNK + 1) * FIXED_CHUNK
            return _chunk(sequence, min(border, sequence.prompt_length) - sequence.computed)
        return _chunk(sequence, 1)


def _chunk(sequence: Sequence, length: int) -> Chunk:
    return Chunk(sequence, sequence.computed, length, draws=length == sequence.remaining)


def _shares(prefilling: list[Sequence], budget: int) -> Iterator[tuple[Sequence, int]]:
    """Divide the prefill of a step: half for the one that came first, the rest for those with the least to do.

    So short prompts overtake long ones, and a long one still moves on under any number of short ones.
    """
    if not prefilling or budget <= 0:
        return
    first, *others = prefilling
    others.sort(key=lambda sequence: sequence.remaining)
    kept_for_others = min(budget // 2, sum(sequence.remaining for sequence in others))
    length = min(first.remaining, budget - kept_for_others)
    yield first, length
    budget -= length
    for sequence in others:
        if budget <= 0:
            return
        length = min(sequence.remaining, budget)
        yield sequence, length
        budget -= length
