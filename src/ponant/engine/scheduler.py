"""Which tokens are computed next.

Sequences wait, first come, first served, until there is a free slot and room in the KV cache. In each step every
running sequence whose prompt is done gets its next token, and what the pacer allows is left for prompts. A sequence
that begins like another one takes over what that one has computed; if that one is still computing it, the sequence
follows it: it waits rather than computing the same again. When the cache is full the youngest sequence is put back in
the queue; it goes on later where it stopped.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Rows
from dataclasses import dataclass, field

from ponant.engine.base import Delta, FinishReason
from ponant.engine.kv_cache import KVCache, Operation, common_prefix
from ponant.engine.pacing import Pacer
from ponant.engine.sequence import WAITING, Sequence

FIXED_CHUNK = 256
"""Where chunks of prefill end under ``deterministic``: at multiples of this position."""

_HEADROOM = 16
"""Free cells per running sequence that must be left when another one enters, so that it is not put back at once."""

_WORTH_WAITING_FOR = 32
"""Tokens that a sequence must save by waiting until another one has computed them."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """``length`` tokens of a sequence from ``start`` on. ``draws``: the last one's logits give the next token."""

    sequence: Sequence
    start: int
    length: int
    draws: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: the operations on the KV cache in their order, then the chunks in one batch."""

    operations: list[Operation]
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

    ``parallel`` is the most sequences that run at once, ``batch_tokens`` the most tokens of a step. Under
    ``deterministic`` each step has tokens of one sequence only, in chunks with fixed borders; each slot must have room
    for a whole context, so that nothing is ever put back.
    """

    cache: KVCache
    parallel: int
    batch_tokens: int
    end_tokens: frozenset[int]
    pacer: Pacer
    deterministic: bool = False
    waiting: deque[Sequence] = field(default_factory=deque[Sequence])
    running: list[Sequence] = field(default_factory=list[Sequence])
    _leaders: dict[Sequence, tuple[Sequence, int]] = field(default_factory=dict[Sequence, tuple[Sequence, int]])
    _unstarted: set[int] = field(default_factory=set[int])
    _started: list[int] = field(default_factory=list[int])

    @property
    def idle(self) -> bool:
        """Whether there is nothing to compute."""
        return not self.waiting and not self.running

    def add(self, sequences: Iterable[Sequence]) -> None:
        """Queue new sequences."""
        for sequence in sequences:
            self.waiting.append(sequence)
            self._unstarted.add(sequence.request_id)

    def cancel(self, request_id: int, choice: int | None = None) -> None:
        """Drop a request, or one choice of it; unknown ones are ignored."""

        def concerned(sequence: Sequence) -> bool:
            return sequence.request_id == request_id and choice in (None, sequence.choice)

        if any(map(concerned, self.waiting)):
            self.waiting = deque(sequence for sequence in self.waiting if not concerned(sequence))
            if all(sequence.request_id != request_id for sequence in self.waiting):
                self._unstarted.discard(request_id)
        for sequence in [sequence for sequence in self.running if concerned(sequence)]:
            self._leave(sequence, keep=True)

    def next_step(self) -> Step | None:
        """The next step, or None if there is nothing to compute."""
        self._take_over()
        self._make_room()
        self._admit()
        if not self.running:
            return None
        chunks = [self._turn_of_one()] if self.deterministic else self._chunks_of_all()
        return Step(self.cache.take_operations(), chunks)

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
            self.cache.extend(sequence.slot, chunk.length)
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
                self._leave(sequence, keep=finish != "error")
            yield sequence.request_id, Delta(sequence.choice, new_tokens, finish, sequence.reused)

    def put_back(self) -> None:
        """Move the youngest running sequence back to the head of the queue, to be computed anew."""
        sequence = self.running[-1]
        self._leave(sequence, keep=False)
        sequence.computed = 0
        self.waiting.appendleft(sequence)

    def put_all_back(self) -> None:
        """Move every running sequence back to the queue: what the KV cache holds is lost."""
        self.running.sort(key=lambda sequence: (sequence.request_id, sequence.choice))
        while self.running:
            self.put_back()
        self.cache.clear()

    def _missing_cells(self) -> int:
        """How many cells more than there are free ones the running sequences need for all their tokens."""
        needed = 0
        for sequence in self.running:
            _, shared = self._leaders.get(sequence, (None, 0))
            needed += len(sequence.tokens) - max(sequence.computed, shared)
        return needed - self.cache.free

    def _make_room(self) -> None:
        while self._missing_cells() > 0:
            if not self.cache.evict():
                self.put_back()

    def _admit(self) -> None:
        while self.waiting and len(self.running) < self.parallel:
            sequence = self.waiting[0]
            if not sequence.reuse and not self.running:
                # Where tokens lie in the cache shows in the rounding: an idle engine starts from an empty one.
                self.cache.clear()
            sequence.slot = self.cache.enter(sequence.tokens, reuse=sequence.reuse)
            sequence.computed = self.cache.length(sequence.slot)
            self._follow(sequence)
            self.running.append(sequence)
            headroom = _HEADROOM * len(self.running)
            while self._missing_cells() + headroom > 0 and self.cache.evict():
                pass
            if len(self.running) > 1 and self._missing_cells() + headroom > 0 and not self.deterministic:
                self._leave(sequence, keep=False)
                sequence.computed = 0
                return
            self.waiting.popleft()
            if not sequence.entered:
                sequence.entered = True
                sequence.reused = sequence.computed
            if sequence.request_id in self._unstarted:
                self._unstarted.remove(sequence.request_id)
                self._started.append(sequence.request_id)

    def _follow(self, sequence: Sequence) -> None:
        """Have a sequence wait for one that entered before it and is computing what it needs too, if there is one."""
        if not self.cache.shares:
            return
        best_length = sequence.computed + _WORTH_WAITING_FOR - 1
        for leader in self.running:
            if leader is sequence:
                break
            if not sequence.reuse and leader.request_id != sequence.request_id:
                continue
            limit = min(len(sequence.tokens) - 1, len(leader.tokens))
            length = common_prefix(sequence.tokens, leader.tokens, limit) if leader.remaining > 1 else 0
            if length > best_length:
                best_length = length
                self._leaders[sequence] = leader, length

    def _take_over(self) -> None:
        """Give those who follow what their leaders have computed by now, and free those whose leaders left."""
        for sequence, (leader, length) in list(self._leaders.items()):
            if leader.slot == WAITING:
                del self._leaders[sequence]
                if sequence.reuse:
                    self.cache.catch_up(sequence.slot)
                sequence.computed = self.cache.length(sequence.slot)
                self._follow(sequence)
            elif leader.computed >= length:
                del self._leaders[sequence]
                self.cache.share(leader.slot, sequence.slot, length)
                sequence.computed = length
            else:
                continue
            if sequence.generated == 0:
                sequence.reused = sequence.computed

    def _leave(self, sequence: Sequence, *, keep: bool) -> None:
        self.running.remove(sequence)
        self._leaders.pop(sequence, None)
        self.cache.leave(sequence.slot, keep=keep)
        sequence.slot = WAITING

    def _chunks_of_all(self) -> list[Chunk]:
        computing = [sequence for sequence in self.running if sequence not in self._leaders]
        chunks = [_chunk(sequence, 1) for sequence in computing if sequence.remaining == 1]
        prefilling = [sequence for sequence in computing if sequence.remaining > 1]
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
