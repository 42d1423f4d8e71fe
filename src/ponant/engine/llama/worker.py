"""Worker process of an engine: reads requests from a socket, computes steps, writes tokens back.

It is started as ``python -m ponant.engine.llama.worker FD`` with an open socket as file descriptor ``FD``, and ends
when the parent closes the socket.
"""

import contextlib
import itertools
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponant.engine.base import Delta, FinishReason, GenerateRequest, TokenLogprobs
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.drafting import Drafter, DraftText
from ponant.engine.llama.frames import (
    AdapterAdded,
    AddAdapter,
    Cancel,
    Generate,
    Load,
    RemoveAdapter,
    Stepped,
    ToWorker,
    decode_to_worker,
)
from ponant.engine.llama.grammar import Grammar, GrammarCompiler, GrammarTokenizer
from ponant.engine.llama.kv_cache import Empty, KVCache, Operation, Restore, Save, Share, Trim
from ponant.engine.llama.loading import open_model
from ponant.engine.llama.prefill import BurstPrefill
from ponant.engine.llama.prefix_store import PrefixStore
from ponant.engine.llama.reporter import Reporter
from ponant.engine.llama.sampling import Row, Sampler, score
from ponant.engine.llama.scheduler import Scheduler
from ponant.engine.llama.sequence import Draw, Sequence
from ponant.engine.llama.step import Chunk, Step
from ponant.engine.llama.step_costs import StepCosts
from ponant.errors import AdapterError, ModelLoadError
from ponant.llamacpp.model import KVCacheFullError
from ponant.processes.child import Connection, parent
from ponant.processes.core_lock import CoreLock
from ponant.processes.frames import Loaded, LoadFailed

_LONGEST_FOLLOWED = 16_384
"""Most tokens at the end of a prompt that are indexed for drafts; indexing takes time."""


_Draws = Mapping[Sequence, list[Draw | None]]
_Scores = Mapping[Sequence, list[TokenLogprobs]]


class EngineWorker:
    """Model and the sequences that it computes."""

    def __init__(self, config: EngineConfig) -> None:
        """Load the model and allocate the KV cache. Raises ModelLoadError."""
        opened = open_model(config)
        self._model, sizes, slots = opened.model, opened.memory, opened.slots
        self._has_scratch = slots.scratch > 0
        self._scratch = slots.slots, slots.slots + 1
        self._drafts = config.drafting and not config.deterministic and self._model.can_share_cells
        self._sampler = Sampler(self._model.vocabulary_size, self._model.end_tokens)
        self._grammars = GrammarCompiler(
            lambda: GrammarTokenizer(self._model.vocab, self._model.vocabulary_size, self._model.end_tokens)
        )
        self._compiling: dict[int, GenerateRequest] = {}
        self._failed: list[tuple[int, Delta]] = []
        self._answers: list[AdapterAdded] = []
        costs = StepCosts()
        self._core_lock = CoreLock(config.core_slot) if config.core_slot else None
        self._scheduler = Scheduler(
            cache=KVCache(
                cells=sizes.cells,
                slots=slots.slots,
                store=PrefixStore(sizes.kept) if slots.shares else None,
            ),
            parallel=slots.parallel,
            batch_tokens=opened.batch_tokens,
            end_tokens=self._model.end_tokens,
            costs=costs,
            prefill=BurstPrefill(costs, opened.batch_tokens),
            most_draws=slots.most_logits,
            deterministic=config.deterministic,
        )
        self._reporter = Reporter(self._scheduler)
        self.info = opened.info

    def serve(self, connection: Connection[ToWorker]) -> None:
        """Compute until the parent closes the connection."""
        while True:
            if self._core_lock and self._scheduler.idle:
                self._core_lock.release()
            idle = self._scheduler.idle
            pause = self._reporter.pause(time.monotonic()) if idle else None
            for frame in connection.receive(wait=idle, other=self._grammars, timeout=pause):
                self._take(frame)
            for request_id, grammar in self._grammars.finished():
                self._take_compiled(request_id, grammar)
            deltas, self._failed = self._failed, []
            if self._core_lock:
                self._scheduler.contended = self._core_lock.contended
            if step := self._scheduler.next_step():
                with self._core_lock or contextlib.nullcontext():
                    deltas += self._compute(step)
            started = self._scheduler.take_started()
            if deltas or started:
                connection.send(Stepped(started, deltas))
            for answer in self._answers:
                connection.send(answer)
            self._answers.clear()
            if report := self._reporter.take(time.monotonic()):
                connection.send(report)

    def _take(self, frame: ToWorker) -> None:
        match frame:
            case Generate(id=request_id, request=request):
                if request.grammar is None:
                    self._start(request_id, request, None)
                else:
                    self._compiling[request_id] = request
                    self._grammars.compile(request_id, request.grammar)
            case Cancel(id=request_id, choice=choice):
                if choice is None:
                    self._compiling.pop(request_id, None)
                self._scheduler.cancel(request_id, choice)
            case AddAdapter(id=adapter_id, path=path):
                self._answers.append(AdapterAdded(adapter_id, self._add_adapter(adapter_id, Path(path))))
            case RemoveAdapter(id=adapter_id):
                self._scheduler.cache.forget_adapter(adapter_id)
                self._model.remove_adapter(adapter_id)
            case Load():
                raise ValueError("a model is loaded already")

    def _take_compiled(self, request_id: int, grammar: Grammar | None) -> None:
        request = self._compiling.pop(request_id, None)
        if request is None:
            return
        if grammar:
            self._start(request_id, request, grammar)
        else:
            self._fail(request_id, request, "grammar")

    def _start(self, request_id: int, request: GenerateRequest, grammar: Grammar | None) -> None:
        if request.adapter is None or self._model.has_adapter(request.adapter):
            self._scheduler.add(self._sequences(request_id, request, grammar))
        else:  # this worker could not reload the adapter
            self._fail(request_id, request)

    def _fail(self, request_id: int, request: GenerateRequest, reason: FinishReason = "error") -> None:
        self._failed += [(request_id, Delta(choice, [], reason)) for choice in range(len(request.seeds))]

    def _add_adapter(self, adapter_id: str, path: Path) -> str | None:
        """Load an adapter; returns the reason of a failure, or None."""
        try:
            self._model.add_adapter(adapter_id, path)
        except AdapterError as error:
            return str(error)
        return None

    def _sequences(self, request_id: int, request: GenerateRequest, grammar: Grammar | None) -> list[Sequence]:
        """Return a sequence for each choice of a request."""
        drafts = self._drafts and not grammar
        scores_all = self._scheduler.deterministic  # so that all choices are computed in the same way
        prompt = DraftText(request.prompt[-_LONGEST_FOLLOWED:]) if drafts else None
        prediction = DraftText(request.prediction) if drafts and request.prediction else None
        return [
            Sequence(
                request_id,
                choice,
                request.prompt,
                seed=seed,
                sampling=request.sampling,
                max_tokens=request.max_tokens,
                min_tokens=request.min_tokens,
                context=self.info.context,
                repeatable=request.repeatable,
                drafter=Drafter(prompt, prediction) if prompt else None,
                grammar=grammar.copy() if grammar else None,
                top_logprobs=request.top_logprobs,
                prompt_logprobs=request.prompt_logprobs if choice == 0 or scores_all else None,
                adapter=request.adapter,
            )
            for choice, seed in enumerate(request.seeds)
        ]

    def _compute(self, step: Step) -> list[tuple[int, Delta]]:
        began = time.perf_counter()
        self._model.use_adapter(step.adapter)
        for operation in step.operations:
            self._apply(operation)
        batch = [
            (
                chunk.sequence.slot,
                chunk.start,
                [*chunk.sequence.tokens[chunk.start : chunk.start + chunk.length], *chunk.draft],
                _rows_of(chunk),
            )
            for chunk in step.chunks
        ]
        try:
            logits = self._model.decode(batch)
        except KVCacheFullError:
            self._scheduler.preempt()
            return []
        draws, scored, failing = self._draw_all(step, logits)
        contains = self._model.can_overwrite and self._model.can_share_cells
        if failing and self._scheduler.deterministic and contains:
            self._model.overwrite_slot(failing[0].sequence.slot)
            deltas = [self._scheduler.fail(failing[0].sequence)]
        elif failing and not (self._has_scratch and contains):
            deltas = [self._scheduler.fail(chunk.sequence) for chunk in failing]
            self._scheduler.preempt_all()
            self._model.empty_all()
        elif failing:
            deltas = self._contain(step, draws, scored, failing)
        else:
            deltas = self._advance(step.chunks, step, draws, scored)
        timed = step.timed(time.perf_counter() - began)
        self._scheduler.observe(timed)
        self._reporter.count(timed, deltas)
        return deltas

    def _draw_all(self, step: Step, logits: NDArray[np.float32]) -> tuple[_Draws, _Scores, list[Chunk]]:
        """Return the draws and scores of a step by sequence, and the chunks whose logits are NaN or infinite."""
        placed = _placed(step)
        failing = [chunk for chunk, rows in placed if not chunk.draws and not math.isfinite(logits[rows[-1]].max())]
        scored = {
            chunk.sequence: _score(chunk, logits[rows.start : rows.start + chunk.scored])
            for chunk, rows in placed
            if chunk.scored
        }
        drawing = [(chunk, logits[rows.start + chunk.scored : rows.stop]) for chunk, rows in placed if chunk.draws]
        draws = {chunk.sequence: self._draw(chunk, wanted) for chunk, wanted in drawing}
        failing += [chunk for chunk, _ in drawing if None in draws[chunk.sequence] and not _has_failed_grammar(chunk)]
        return draws, scored, failing

    def _advance(self, chunks: Iterable[Chunk], step: Step, draws: _Draws, scored: _Scores) -> list[tuple[int, Delta]]:
        """Append what was drawn after some chunks of a step; returns the new tokens by request id."""
        chosen = replace(step, chunks=list(chunks))
        drawn = [draws[chunk.sequence] for chunk in _drawing(chosen)]
        return list(
            self._scheduler.advance(chosen, drawn, [scored[chunk.sequence] for chunk in chosen.chunks if chunk.scored])
        )

    def _contain(self, step: Step, draws: _Draws, scored: _Scores, failing: list[Chunk]) -> list[tuple[int, Delta]]:
        """Advance a step with logits that are not finite; returns the new tokens by request id.

        Attention kernels may read cells of other sequences, with a weight of 0, and 0 times NaN is NaN. So a chunk of
        another sequence may be the cause. Chunks that fail together are computed again one by one, and only a sequence
        that fails alone ends. The others keep their cells.
        """
        clean = [chunk for chunk in step.chunks if all(chunk is not one for one in failing)]
        longest = max(failing, key=_end)
        length = min(_end(longest), self._scheduler.cache.free - sum(_end(chunk) - chunk.start for chunk in clean))
        first, _ = self._scratch
        self._model.share_cells(longest.sequence.slot, first, _end(longest) - length, _end(longest))
        data = self._model.save_slot(first)
        self._model.empty_slot(first)
        deltas = self._advance(clean, step, draws, scored)
        if len(step.chunks) == 1:
            deltas.append(self._scheduler.fail(longest.sequence))
        else:
            self._scheduler.compute_alone(failing)
        for operation in self._scheduler.cache.take_operations():
            self._apply(operation)
        self._model.overwrite_free_cells(data, length, self._scheduler.cache.free, self._scratch)
        return deltas

    def _apply(self, operation: Operation) -> None:
        match operation:
            case Empty(slot):
                self._model.empty_slot(slot)
            case Share(source, target, length):
                self._model.share_cells(source, target, 0, length)
            case Trim(slot, length):
                self._model.trim_slot(slot, length)
            case Save(slot, segment, spare):
                self._model.share_cells(slot, spare, segment.start, len(segment.tokens))
                segment.data = self._model.save_slot(spare)
                self._model.empty_slot(spare)
            case Restore(slot, segment, spare, start, end):
                self._model.restore_slot(spare, segment.data)
                self._model.share_cells(spare, slot, start, end)
                self._model.empty_slot(spare)

    def _draw(self, chunk: Chunk, logits: NDArray[np.float32]) -> list[Draw | None]:
        """Draw a token after a chunk, and after each of its draft tokens, as if they were right."""
        rows = [Row(chunk.sequence, chunk.draft[:guessed]) for guessed in range(1 + len(chunk.draft))]
        return self._sampler.sample(logits, rows)


def _end(chunk: Chunk) -> int:
    """Return the number of tokens of a sequence up to the end of a chunk with its draft."""
    return chunk.start + chunk.length + len(chunk.draft)


def _rows_of(chunk: Chunk) -> int:
    """Return the rows of logits of a chunk: one more than it needs, if need be, to see that its values are finite."""
    return max(chunk.rows, 1)


def _placed(step: Step) -> list[tuple[Chunk, range]]:
    """Return each chunk with its rows of logits: those that score, then those to draw from."""
    ends = itertools.accumulate(map(_rows_of, step.chunks))
    return [(chunk, range(end - _rows_of(chunk), end)) for chunk, end in zip(step.chunks, ends, strict=True)]


def _has_failed_grammar(chunk: Chunk) -> bool:
    """True if no token could be drawn because of the grammar, not of the logits."""
    grammar = chunk.sequence.grammar
    return grammar is not None and grammar.failed


def _drawing(step: Step) -> list[Chunk]:
    return [chunk for chunk in step.chunks if chunk.draws]


def _score(chunk: Chunk, logits: NDArray[np.float32]) -> list[TokenLogprobs]:
    """Return the log-probabilities of the tokens that a chunk scores."""
    sequence = chunk.sequence
    following = sequence.tokens[sequence.scored + 1 : sequence.scored + 1 + chunk.scored]
    return score(logits, following, sequence.prompt_logprobs or 0)


def main() -> None:
    """Serve the socket given on the command line."""
    with parent(decode_to_worker) as connection:
        (load,) = connection.receive(wait=True)
        if not isinstance(load, Load):
            raise TypeError("the first frame must name the model")
        try:
            worker = EngineWorker(load.config)
        except ModelLoadError as error:
            connection.send(LoadFailed(str(error)))
            return
        connection.send(Loaded(worker.info))
        worker.serve(connection)


if __name__ == "__main__":
    main()
