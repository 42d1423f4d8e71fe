"""Scheduler: chooses the tokens of each step.

Sequences wait in the order of arrival for a free slot and room in the KV cache. In each step every running sequence
whose prompt is computed gets its next token, and the prefill policy chooses the tokens of prompts. A sequence reuses
the common prefix of another one. If that one, its leader, is still computing the prefix, the sequence waits for it.
When the cache is full the youngest sequence is preempted: it returns to the head of the queue and resumes later. Draft
tokens are verified several at a time. Sequences with different adapters cannot share a step, so adapters take turns.
"""

from collections import abc, deque
from dataclasses import dataclass, field

from ponant.engine.base import Delta, FinishReason, TokenLogprobs
from ponant.engine.llama.block_trie import BLOCK, common_prefix
from ponant.engine.llama.draft_rows import with_drafts
from ponant.engine.llama.kv_cache import KVCache
from ponant.engine.llama.prefill import PrefillPolicy
from ponant.engine.llama.prefix_index import Reuse
from ponant.engine.llama.rotation import Rotation
from ponant.engine.llama.sequence import WAITING, Draw, Sequence
from ponant.engine.llama.step import Chunk, Step, next_chunk, within_rows
from ponant.engine.llama.step_costs import StepCosts, StepTime

FIXED_CHUNK = 256
"""Tokens per chunk of prefill under ``deterministic``."""

_HEADROOM = 16
"""Free cells per running sequence that another one must leave when it enters, to avoid its immediate preemption."""

_WORTH_WAITING_FOR = 32
"""Fewest tokens that a sequence must save to wait for a leader."""


_SCORED_AT_ONCE = 0.5
"""Share of a chunk to compute if its tokens are scored next to completions, as that takes up to twice as long."""


@dataclass(slots=True)
class Scheduler:
    """Owner of all sequences.

    Attributes:
        cache: bookkeeping of the KV cache.
        parallel: largest number of sequences that run at once.
        batch_tokens: most tokens of a step.
        end_tokens: tokens that end a completion.
        costs: measured costs of steps.
        prefill: policy for the tokens of prompts.
        most_draws: most rows of logits of a step: tokens that are drawn, with drafts, or scored.
        deterministic: each step has tokens of one sequence, in chunks with fixed borders. Each slot must have room for
            a whole context, as nothing may be preempted.
        contended: other engines wait for the same cores, so prompts are computed in small chunks.
        cached_tokens: total of the prompts' tokens that were reused.
        waiting: sequences in the order of arrival.
        running: sequences in the order of entry.
    """

    cache: KVCache
    parallel: int
    batch_tokens: int
    end_tokens: frozenset[int]
    costs: StepCosts
    prefill: PrefillPolicy
    most_draws: int = 0
    deterministic: bool = False
    contended: bool = False
    cached_tokens: int = 0
    waiting: deque[Sequence] = field(default_factory=deque[Sequence])
    running: list[Sequence] = field(default_factory=list[Sequence])
    _leaders: dict[Sequence, tuple[Sequence, int]] = field(default_factory=dict[Sequence, tuple[Sequence, int]])
    _undisturbed: Sequence | None = None
    _alone: deque[Sequence] = field(default_factory=deque[Sequence])
    _rotation: Rotation = field(default_factory=Rotation)
    _unstarted: set[int] = field(default_factory=set[int])
    _started: list[int] = field(default_factory=list[int])

    @property
    def idle(self) -> bool:
        """True if there is nothing to compute."""
        return not self.waiting and not self.running

    def add(self, sequences: abc.Iterable[Sequence]) -> None:
        """Queue new sequences."""
        for sequence in sequences:
            self.waiting.append(sequence)
            self._unstarted.add(sequence.request_id)

    def cancel(self, request_id: int, choice: int | None = None) -> None:
        """Drop a request, or one of its choices. An unknown id is ignored."""

        def concerned(sequence: Sequence) -> bool:
            return sequence.request_id == request_id and choice in (None, sequence.choice)

        if any(map(concerned, self.waiting)):
            self.waiting = deque(sequence for sequence in self.waiting if not concerned(sequence))
            if all(sequence.request_id != request_id for sequence in self.waiting):
                self._unstarted.discard(request_id)
        for sequence in [sequence for sequence in self.running if concerned(sequence)]:
            self._leave(sequence, keep=True)

    def next_step(self) -> Step | None:
        """Return the next step; None if there is nothing to compute."""
        self._take_over()
        self._make_room()
        self._admit()
        if not self.running:
            return None
        self.cache.move_out()
        chunks, delayed = self._turn_of_suspect() or self._turn_of_an_adapter()
        return Step(self.cache.take_operations(), chunks, delayed)

    def take_started(self) -> list[int]:
        """Return the ids of the requests that left the queue for the first time since the last call."""
        started, self._started = self._started, []
        return started

    def advance(
        self,
        step: Step,
        drawn: abc.Iterable[abc.Sequence[Draw | None]],
        scored: abc.Iterable[list[TokenLogprobs]] = (),
    ) -> abc.Iterator[tuple[int, Delta]]:
        """Append drawn tokens to their sequences; yields request ids with their deltas.

        Args:
            step: the step that was computed.
            drawn: for each drawing chunk, in order, the draw after its last token and those after its draft tokens;
                None for a failed draw.
            scored: for each chunk that scores, in order, the log-probabilities of the tokens after its scored ones.
        """
        draws, scores = iter(drawn), iter(scored)
        for chunk in step.chunks:
            sequence = chunk.sequence
            computed = next(scores) if chunk.scored else None
            prompt_logprobs = computed if sequence.choice == 0 else None
            sequence.scored += chunk.scored
            if not chunk.draws:
                self._compute(chunk, chunk.length)
                if prompt_logprobs:
                    yield sequence.request_id, sequence.delta(prompt_logprobs=prompt_logprobs)
                continue
            if sequence.generated == 0:
                self.cached_tokens += sequence.cached_tokens
            tokens, end, finish = self._accept(chunk, next(draws))
            if finish:
                self._leave(sequence, keep=finish not in ("error", "grammar"))
            yield sequence.request_id, sequence.delta(tokens, end, finish, prompt_logprobs)

    def _accept(
        self, chunk: Chunk, draws: abc.Sequence[Draw | None]
    ) -> tuple[list[Draw], Draw | None, FinishReason | None]:
        """Append draws up to the first that differs from the draft.

        Returns:
            The appended draws, that of an end-of-generation token, and the reason of an end.
        """
        sequence = chunk.sequence
        if sequence.full:  # only the prompt was asked for
            self._compute(chunk, chunk.length)
            return [], None, sequence.limit_reason if draws[0] else "error"
        tokens = _take_unsent(sequence)
        end: Draw | None = None
        finish: FinishReason | None = None
        right = 0
        for index, draw in enumerate(draws):
            if draw is None:
                finish = "grammar" if sequence.grammar and sequence.grammar.failed else "error"
            elif draw.token in self.end_tokens:
                end, finish = draw, "stop"
            else:
                tokens.append(draw)
                finish = sequence.append(draw.token)
                finish = finish or sequence.append_forced()
                tokens += _take_unsent(sequence)
            if finish or draw is None or index == len(chunk.draft) or draw.token != chunk.draft[index]:
                break
            right += 1
        self._compute(chunk, chunk.length + right)
        if right < len(chunk.draft):
            self.cache.forget_drafts(sequence.slot)
        if sequence.drafter and chunk.draft:
            sequence.drafter.settle(right, len(chunk.draft) - right)
        return tokens, end, finish

    def _compute(self, chunk: Chunk, count: int) -> None:
        """Record that the first ``count`` tokens of a chunk are computed."""
        chunk.sequence.computed = chunk.start + count
        self.cache.extend(chunk.sequence.slot, count, repeatable=chunk.sequence is self._undisturbed)

    def compute_alone(self, chunks: abc.Iterable[Chunk]) -> None:
        """Undo chunks of a computed step. The next chunk of each of their sequences gets a step of its own."""
        for chunk in chunks:
            self._alone.append(chunk.sequence)
            self.cache.forget_drafts(chunk.sequence.slot)

    def fail(self, sequence: Sequence) -> tuple[int, Delta]:
        """End a running sequence with an error; returns its request id with its last delta."""
        self._leave(sequence, keep=False)
        return sequence.request_id, sequence.delta([], None, "error")

    def observe(self, step: StepTime) -> None:
        """Learn from the duration of a step."""
        if not step.scores:
            self.costs.observe(step)
        self.prefill.observe(step)

    def preempt(self, *, keep: bool = False) -> None:
        """Move the youngest running sequence to the head of the queue; ``keep`` its content of the cache for reuse."""
        sequence = self.running[-1]
        self._leave(sequence, keep=keep)
        sequence.computed = 0
        self.waiting.appendleft(sequence)

    def preempt_all(self) -> None:
        """Move every running sequence to the queue. The content of the KV cache is lost."""
        self.running.sort(key=lambda sequence: (sequence.request_id, sequence.choice))
        while self.running:
            self.preempt()
        self.cache.clear()

    def _missing_cells(self) -> int:
        """Return the number of cells that running sequences lack for all their tokens; negative if cells remain."""
        needed = 0
        for sequence in self.running:
            _, shared = self._leaders.get(sequence, (None, 0))
            needed += len(sequence.tokens) - max(sequence.computed, shared)
        return needed - self.cache.free

    def _make_room(self) -> None:
        while self._missing_cells() > 0:
            if not self.cache.evict():
                self.preempt(keep=True)

    def _admit(self) -> None:
        while self.waiting and len(self.running) < self.parallel:
            sequence = self.waiting[0]
            reuse = self._reuse_for(sequence)
            sequence.slot = self.cache.enter(sequence.tokens, sequence.prompt_length, sequence.adapter, reuse)
            self.cache.catch_up(sequence.slot)
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
            self._restore(sequence)
            if not sequence.entered:
                sequence.entered = True
                sequence.cached_tokens = sequence.computed
            if sequence.request_id in self._unstarted:
                self._unstarted.remove(sequence.request_id)
                self._started.append(sequence.request_id)

    def _reuse_for(self, sequence: Sequence) -> Reuse:
        """Return the tokens that a sequence may reuse. Restrictions make the results of an idle engine repeatable.

        Rounding depends on the batch that a token is computed in. A repeatable sequence reuses only tokens that it
        would compute in the same way. A greedy one whose prompt is kept computes its last block again. One whose prompt
        is scored computes all of it.
        """
        reuse = self._reuse_by_sampling(sequence)
        return "nothing" if sequence.scores else reuse

    def _reuse_by_sampling(self, sequence: Sequence) -> Reuse:
        if not self.running:
            self._undisturbed = sequence if sequence.repeatable and sequence.generated == 0 else None
            if sequence.repeatable:
                return "what repeats"
            return "all but the last block" if sequence.greedy else "anything"
        if self._undisturbed and self._undisturbed.request_id == sequence.request_id:
            return "what repeats"
        self._undisturbed = None
        return "anything"

    def _restore(self, sequence: Sequence) -> None:
        """Reuse tokens of the store if they are more than those of the cache or of the leader."""
        self.cache.move_out()
        _, followed = self._leaders.get(sequence, (None, 0))
        self.cache.restore(sequence.slot, followed)
        sequence.computed = self.cache.length(sequence.slot)
        if sequence.computed >= followed:
            self._leaders.pop(sequence, None)

    def _follow(self, sequence: Sequence) -> None:
        """Find a leader for a sequence: one that entered before and is computing the longest common prefix."""
        if not self.cache.shares or sequence.scores:
            return
        best_length = sequence.computed + _WORTH_WAITING_FOR - 1
        for leader in self.running:
            if leader is sequence:
                break
            if leader.adapter != sequence.adapter:
                continue
            limit = min(len(sequence.tokens) - 1, len(leader.tokens))
            length = common_prefix(sequence.tokens, leader.tokens, limit) if leader.remaining > 1 else 0
            if length > best_length:
                best_length = length
                self._leaders[sequence] = leader, length

    def _take_over(self) -> None:
        """Share the prefixes that leaders have completed, and find new leaders where one has left."""
        for sequence, (leader, length) in list(self._leaders.items()):
            if leader.slot == WAITING:
                del self._leaders[sequence]
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
                sequence.cached_tokens = sequence.computed

    def _leave(self, sequence: Sequence, *, keep: bool) -> None:
        self.running.remove(sequence)
        self._leaders.pop(sequence, None)
        self.cache.leave(sequence.slot, keep=keep)
        sequence.slot = WAITING

    def _turn_of_an_adapter(self) -> tuple[list[Chunk], int]:
        """Return the chunks of the adapter whose turn it is, and the number of tokens of completions that wait."""
        computing = [sequence for sequence in self.running if sequence not in self._leaders]
        for adapter in self._rotation.order(sequence.adapter for sequence in computing):
            decoding = [sequence for sequence in computing if self._is_decoding(sequence)]
            delayed = sum(sequence.remaining for sequence in decoding if sequence.adapter != adapter)
            chunks = self._chunks([sequence for sequence in computing if sequence.adapter == adapter], delayed)
            if chunks:
                self._rotation.take_step(adapter, is_last=len(decoding) < len(computing))
                included = {chunk.sequence for chunk in chunks}
                return chunks, sum(sequence.remaining for sequence in decoding if sequence not in included)
        raise AssertionError("there is nothing to compute")

    def _chunks(self, computing: list[Sequence], delayed: int) -> list[Chunk]:
        """Return the chunks of sequences with the same adapter, while ``delayed`` tokens of other completions wait.

        There are none if all sequences are long prompts that leave the step to other completions.
        """
        chunks = [next_chunk(sequence, sequence.remaining) for sequence in computing if self._is_decoding(sequence)]
        prefilling = [sequence for sequence in computing if not self._is_decoding(sequence)]
        if not prefilling:
            most_rows = min(self.most_draws, self.batch_tokens, self.cache.free)
            return with_drafts(chunks, most_rows, self.costs)
        rows = sum(chunk.length for chunk in chunks)
        room = min(self.batch_tokens - rows, BLOCK if self.contended else self.batch_tokens)
        if len(computing) == 1:
            room = min(room, self._reproducible_chunk(prefilling[0]))
        plan = self.prefill.plan(rows + delayed, prefilling, room=room)
        others = rows + delayed
        prompts = [
            next_chunk(sequence, length if not (others and sequence.scores) else max(1, int(length * _SCORED_AT_ONCE)))
            for sequence, length in plan.tokens
        ]
        return within_rows(chunks + prompts if plan.decodes else prompts, self.most_draws)

    def _is_decoding(self, sequence: Sequence) -> bool:
        """True if a sequence only needs its last token computed, or the last ones that its grammar forced."""
        most_forced = self.batch_tokens // self.parallel
        return sequence.remaining == 1 or sequence.remaining <= min(most_forced, sequence.generated)

    def _reproducible_chunk(self, sequence: Sequence) -> int:
        """Return the most tokens of a prompt to compute at once to keep it repeatable; see ``_reuse_for``."""
        if sequence is self._undisturbed:
            return BLOCK - sequence.computed % BLOCK
        last = (sequence.prompt_length - 1) // BLOCK * BLOCK
        if sequence.greedy and sequence.computed < last:
            return last - sequence.computed
        return sequence.remaining

    def _turn_of_suspect(self) -> tuple[list[Chunk], int] | None:
        """Return the chunk of a sequence that must be computed alone; None if there is none."""
        if self.deterministic:
            return [self._turn_of_one()], 0
        while self._alone:
            if (sequence := self._alone.popleft()) in self.running and sequence not in self._leaders:
                chunk = next_chunk(sequence, min(sequence.remaining, self.batch_tokens))
                return within_rows([chunk], self.most_draws), 0
        return None

    def _turn_of_one(self) -> Chunk:
        """Return the next chunk of the first sequence, and move the sequence to the end."""
        sequence = self.running.pop(0)
        self.running.append(sequence)
        if sequence.computed < sequence.prompt_length:
            border = (sequence.computed // FIXED_CHUNK + 1) * FIXED_CHUNK
            chunk = next_chunk(sequence, min(border, sequence.prompt_length) - sequence.computed)
            return within_rows([chunk], self.most_draws)[0]
        return next_chunk(sequence, 1)


def _take_unsent(sequence: Sequence) -> list[Draw]:
    unsent, sequence.unsent = sequence.unsent, []
    return [Draw(token) for token in unsent]
