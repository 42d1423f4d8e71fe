"""Random traffic for the scheduler, checked against a plain model of the KV cache after every step."""

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.engine.base import Delta
from ponant.engine.llama.block_trie import BLOCK
from ponant.engine.llama.kv_cache import Empty, Restore, Save, Share, Trim
from ponant.engine.llama.prefix_store import Segment
from ponant.engine.llama.scheduler import FIXED_CHUNK
from ponant.engine.llama.sequence import Sequence
from ponant.engine.llama.step import Chunk, Step
from tests.engine.llama.scheduling import END, completion, drawn_as, scheduler
from tests.soak import examples


@dataclass(eq=False)
class Cell:
    """Cell of the cache; ``block`` if it was computed with a whole block of a prompt, alone, after such blocks."""

    block: bool
    adapter: str | None


@dataclass
class PlainCache:
    """Content of llama.cpp's cache: tokens and cells of each slot."""

    cells: int
    tokens: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    cells_of: dict[int, list[Cell]] = field(default_factory=dict[int, list[Cell]])
    saved: dict[Segment, tuple[list[int], list[Cell]]] = field(
        default_factory=dict[Segment, tuple[list[int], list[Cell]]]
    )
    lost: bool = False
    """True if the cache was emptied after the last operations, which may still name its content."""

    def apply(self, step: Step) -> None:
        for operation in step.operations:
            match operation:
                case Empty(slot):
                    self.tokens.pop(slot, None)
                    self.cells_of.pop(slot, None)
                case Share(source, target, length):
                    assert target not in self.tokens, "a slot must be emptied before it is used again"
                    assert len(self.tokens[source]) >= length > 0
                    self.tokens[target] = self.tokens[source][:length]
                    self.cells_of[target] = self.cells_of[source][:length]
                case Trim(slot, length):
                    assert self.lost or len(self.tokens[slot]) > length > 0
                    del self.tokens.get(slot, [])[length:]
                    del self.cells_of.get(slot, [])[length:]
                case Save(slot, segment, spare):
                    assert spare not in self.tokens
                    if not self.lost:
                        part = slice(segment.start, len(segment.tokens))
                        assert self.tokens[slot][: part.stop] == segment.tokens
                        self.saved[segment] = self.tokens[slot][part], self.cells_of[slot][part]
                case Restore(slot, segment, spare, start, end):
                    assert spare not in self.tokens
                    tokens, cells = self.saved[segment]
                    assert self.used + len(cells) <= self.cells
                    assert segment.start <= start < end <= len(segment.tokens)
                    part = slice(start - segment.start, end - segment.start)
                    held = self.tokens.setdefault(slot, [])
                    assert held == segment.tokens[:start]
                    held += tokens[part]
                    copies = [Cell(cell.block, cell.adapter) for cell in cells[part]]
                    self.cells_of.setdefault(slot, []).extend(copies)
        self.lost = False

    def lose_all(self) -> None:
        self.tokens.clear()
        self.cells_of.clear()
        self.lost = True

    def compute(self, chunk: Chunk, *, alone: bool) -> None:
        sequence, end = chunk.sequence, chunk.start + chunk.length
        held = self.tokens.setdefault(sequence.slot, [])
        assert held == sequence.tokens[: chunk.start], "the slot must hold what comes before the chunk"
        assert chunk.length >= 1
        assert end <= len(sequence.tokens)
        held += [*sequence.tokens[chunk.start : end], *chunk.draft]
        cells = self.cells_of.setdefault(sequence.slot, [])
        is_block = alone and chunk.length == BLOCK and chunk.start % BLOCK == 0 and end <= sequence.prompt_length
        is_block = is_block and all(cell.block for cell in cells)
        cells += [Cell(is_block, sequence.adapter) for _ in range(chunk.length + len(chunk.draft))]

    @property
    def used(self) -> int:
        return len({cell for cells in self.cells_of.values() for cell in cells})


@dataclass(frozen=True)
class Traffic:
    """Parameters of the traffic and of the scheduler."""

    seed: int
    cells: int
    parallel: int
    batch_tokens: int
    context: int
    shares: bool
    stored: int
    deterministic: bool
    arrivals: int
    guesses: bool = False
    """True if sequences have predictions that are often right."""
    adapters: bool = False
    """True if sequences have different adapters."""
    repeats: bool = False
    """True if some sequences are repeatable or greedy, and prompts repeat."""


class Simulation:
    """Random traffic, checked after every step."""

    def __init__(self, traffic: Traffic) -> None:
        self.random = random.Random(traffic.seed)
        self.traffic = traffic
        self.scheduler = scheduler(
            cells=traffic.cells,
            parallel=traffic.parallel,
            batch_tokens=traffic.batch_tokens,
            shares=traffic.shares,
            stored=traffic.stored,
            deterministic=traffic.deterministic,
            most_draws=traffic.parallel + self.random.choice([0, 1, 5, 63]) if traffic.guesses else 0,
        )
        self.cache = PlainCache(traffic.cells)
        self.stems = [[self.random.randint(1, 3) for _ in range(traffic.context)] for _ in range(3)]
        self.arrived: dict[tuple[int, int], int] = {}
        self.open: dict[tuple[int, int], Sequence] = {}
        self.prompts: dict[tuple[int, int], list[int]] = {}
        self.drawn: dict[tuple[int, int], list[int]] = {}
        self.started: set[int] = set()
        self.guessed: dict[tuple[int, int], tuple[int, int]] = {}
        """Numbers of accepted and rejected draft tokens by sequence."""

    def run(self) -> None:
        for request_id in range(self.traffic.arrivals):
            self.arrive(request_id)
            for _ in range(self.random.choice([0, 0, 1, 3, 10])):
                self.step()
                self.cancel_something()
        steps = 0
        while not self.scheduler.idle:
            self.step(calm=True)
            steps += 1
            assert steps < 100 * self.traffic.context * len(self.arrived), "the scheduler makes no progress"
        assert not self.open
        assert self.scheduler.next_step() is None

    def arrive(self, request_id: int) -> None:
        most = self.traffic.context - 1
        stem = self.random.choice(self.stems)[: self.random.randint(0, most - 1)]
        prompt = [*stem, *(self.random.randint(1, 9) for _ in range(self.random.randint(1, most - len(stem))))]
        if self.traffic.repeats and self.prompts and self.random.random() < 0.5:
            prompt = self.random.choice(list(self.prompts.values()))
        elif self.traffic.shares and self.prompts and self.random.random() < 0.3:  # the next turn of a conversation
            before = self.random.choice(list(self.prompts))
            said = [*self.prompts[before], *self.drawn[before]][: most - 1]
            prompt = [*said, *self.random_tokens(self.random.randint(1, most - len(said)))]
        max_tokens = self.random.choice([None, 1, 5, 40])
        kind = self.random.choice(["", "greedy", "repeatable"]) if self.traffic.repeats else ""
        adapter = self.random.choice([None, "a", "b"]) if self.traffic.adapters else None
        sequences = [
            completion(
                request_id,
                prompt,
                choice=choice,
                max_tokens=max_tokens,
                context=self.traffic.context,
                greedy=kind == "greedy",
                repeatable=kind == "repeatable",
                adapter=adapter,
                drafts=self.traffic.guesses,
                prediction=self.random_tokens(self.random.choice([0, 3, 50])) if self.traffic.guesses else None,
            )
            for choice in range(self.random.choice([1, 1, 2, 5]))
        ]
        for sequence in sequences:
            name = (request_id, sequence.choice)
            self.arrived[name] = len(self.arrived)
            self.open[name] = sequence
            self.prompts[name] = prompt
            self.drawn[name] = []
            self.guessed[name] = (0, 0)
        self.scheduler.add(sequences)

    def random_tokens(self, count: int) -> list[int]:
        return [self.random.randint(1, 3) for _ in range(count)]

    def cancel_something(self) -> None:
        if self.open and self.random.random() < 0.1:
            request_id, choice = self.random.choice(list(self.open))
            whole = self.random.random() < 0.5
            self.scheduler.cancel(request_id, None if whole else choice)
            self.open = {
                name: sequence
                for name, sequence in self.open.items()
                if name[0] != request_id or not (whole or name[1] == choice)
            }

    def step(self, *, calm: bool = False) -> None:
        was_empty = not self.scheduler.running
        step = self.scheduler.next_step()
        self.check_places()
        if step is None:
            assert self.scheduler.idle
            return
        self.check_chunks(step)
        self.cache.apply(step)
        self.check_cache()
        if was_empty:
            self.check_first(self.scheduler.running[0])
        if not calm and not self.traffic.deterministic and self.random.random() < 0.02:
            self.scheduler.preempt()  # as if llama.cpp had no free cells: nothing is computed
            return
        for chunk in step.chunks:
            self.cache.compute(chunk, alone=len(step.chunks) == 1)
        assert self.cache.used <= self.traffic.cells
        self.take_deltas(step)
        self.scheduler.observe(step.timed(self.random.random()))

    def check_cache(self) -> None:
        """Check that the cache has exactly the computed tokens, without rejected drafts."""
        for sequence in self.scheduler.running:
            assert self.scheduler.cache.length(sequence.slot) == sequence.computed
            assert self.cache.tokens.get(sequence.slot, []) == sequence.tokens[: sequence.computed]
            assert {cell.adapter for cell in self.cache.cells_of.get(sequence.slot, [])} <= {sequence.adapter}
        assert self.scheduler.cache.free == self.traffic.cells - self.cache.used

    def check_first(self, sequence: Sequence) -> None:
        """Check that a repeatable sequence in an idle engine reuses only repeatable tokens."""
        if sequence.repeatable and sequence.generated == 0:
            assert all(cell.block for cell in self.cache.cells_of.get(sequence.slot, []))

    def check_places(self) -> None:
        running, waiting = self.scheduler.running, self.scheduler.waiting
        assert len(running) <= self.traffic.parallel
        slots = [sequence.slot for sequence in running]
        assert len(set(slots)) == len(slots)
        assert all(sequence.slot < 0 for sequence in waiting)
        order = [self.arrived[sequence.request_id, sequence.choice] for sequence in running]
        order = sorted(order) if self.traffic.deterministic else order
        order += [self.arrived[sequence.request_id, sequence.choice] for sequence in waiting]
        assert order == sorted(order), "first come, first served"
        assert len(order) == len(self.open)
        started = self.scheduler.take_started()
        assert len(set(started)) == len(started)
        assert not self.started & set(started)
        self.started |= set(started)
        assert {sequence.request_id for sequence in running} <= self.started

    def check_chunks(self, step: Step) -> None:
        assert step.chunks
        rows = sum(chunk.length + len(chunk.draft) for chunk in step.chunks)
        assert step.decoded + step.prefilled == rows
        assert rows <= self.traffic.batch_tokens
        if self.traffic.guesses:
            drawing = sum(1 + len(chunk.draft) for chunk in step.chunks if chunk.draws)
            assert drawing <= self.scheduler.most_draws
        else:
            assert not any(chunk.draft for chunk in step.chunks)
        assert {chunk.sequence.adapter for chunk in step.chunks} == {step.adapter}
        names = [(chunk.sequence.request_id, chunk.sequence.choice) for chunk in step.chunks]
        assert len(set(names)) == len(names)
        for name, chunk in zip(names, step.chunks, strict=True):
            assert chunk.sequence is self.open[name]
            assert chunk.sequence.tokens == self.prompts[name] + self.drawn[name]
            assert chunk.start == chunk.sequence.computed
            assert chunk.draws == (chunk.start + chunk.length == len(chunk.sequence.tokens))
            if chunk.draft:
                assert chunk.draws
                assert len(chunk.sequence.tokens) + len(chunk.draft) + 1 <= chunk.sequence.limit
            if self.traffic.deterministic:
                assert len(step.chunks) == 1
                assert chunk.length == 1 or chunk.start % FIXED_CHUNK == 0

    def take_deltas(self, step: Step) -> None:
        drawing = [chunk for chunk in step.chunks if chunk.draws]
        tokens = [self.draw(chunk) for chunk in drawing]
        deltas = list(self.scheduler.advance(step, [list(map(drawn_as, drawn)) for drawn in tokens]))
        assert [(request_id, delta.choice) for request_id, delta in deltas] == [
            (chunk.sequence.request_id, chunk.sequence.choice) for chunk in drawing
        ]
        for (request_id, delta), chunk, drawn in zip(deltas, drawing, tokens, strict=True):
            self.take_delta((request_id, delta.choice), delta, chunk, drawn)
        if any(None in drawn for drawn in tokens):
            self.scheduler.preempt_all()
            self.cache.lose_all()

    def take_delta(self, name: tuple[int, int], delta: Delta, chunk: Chunk, drawn: list[int | None]) -> None:
        """Check that a delta has the drawn tokens up to the first rejected draft token, or up to the end."""
        sequence = self.open[name]
        assert 0 <= delta.cached_tokens < sequence.prompt_length
        tokens: list[int] = []
        finish: str | None = None
        right = 0
        for token, guess in zip(drawn, [*chunk.draft, None], strict=True):
            if token is None or token == END:
                finish = "error" if token is None else "stop"
                break
            tokens.append(token)
            if len(self.prompts[name]) + len(self.drawn[name]) + len(tokens) == sequence.limit:
                finish = "limit"
                break
            if token != guess:
                break
            right += 1
        assert delta.tokens == tokens
        assert delta.finish == finish or (finish == "limit" and delta.finish in ("length", "model_length"))
        self.drawn[name] += tokens
        all_right, all_wrong = self.guessed[name]
        all_right, all_wrong = all_right + right, all_wrong + len(chunk.draft) - right
        self.guessed[name] = all_right, all_wrong
        assert 0 <= delta.accepted <= all_right
        assert 0 <= delta.rejected <= all_wrong
        if delta.finish:
            del self.open[name]

    def draw(self, chunk: Chunk) -> list[int | None]:
        """Return a token for each row of a chunk, often that of the draft."""
        return [
            guess if guess is not None and self.random.random() < 0.7 else self.draw_one()
            for guess in [*chunk.draft, None]
        ]

    def draw_one(self) -> int | None:
        chance = self.random.random()
        return END if chance < 0.05 else None if chance < 0.06 else self.random.randint(1, 3)


@st.composite
def traffics(
    draw: st.DrawFn,
    *,
    deterministic: bool = False,
    shares: bool = False,
    guesses: bool = False,
    repeats: bool = False,
    adapters: bool = False,
) -> Traffic:
    parallel = draw(st.integers(1, 6))
    if deterministic:
        context = draw(st.sampled_from([20, 300, 600]))
    else:
        context = draw(st.integers(4, 100) | (st.integers(130, 300) if repeats else st.nothing()))
    cells = parallel * context if deterministic else draw(st.integers(context, 3 * context))
    batch_tokens = draw(st.sampled_from([BLOCK, 8 * BLOCK]) if repeats else st.integers(8, 64))
    return Traffic(
        seed=draw(st.integers(0, 2**32)),
        cells=cells,
        parallel=parallel,
        batch_tokens=FIXED_CHUNK if deterministic else batch_tokens,
        context=context,
        shares=shares,
        stored=draw(st.integers(0, 2 * cells)),
        deterministic=deterministic,
        arrivals=draw(st.integers(1, 12)),
        guesses=guesses,
        adapters=adapters,
        repeats=repeats,
    )


@settings(deadline=None, max_examples=examples(120))
@given(traffics())
def test_random_traffic_without_sharing(traffic: Traffic) -> None:
    Simulation(traffic).run()


@settings(deadline=None, max_examples=examples(200))
@given(traffics(shares=True))
def test_random_traffic_that_shares_prefixes(traffic: Traffic) -> None:
    Simulation(traffic).run()


@settings(deadline=None, max_examples=examples(40))
@given(traffics(deterministic=True))
def test_random_traffic_under_deterministic(traffic: Traffic) -> None:
    Simulation(traffic).run()


@settings(deadline=None, max_examples=examples(100))
@given(traffics(guesses=True) | traffics(guesses=True, shares=True))
def test_random_traffic_that_is_guessed(traffic: Traffic) -> None:
    Simulation(traffic).run()


@settings(deadline=None, max_examples=examples(100))
@given(traffics(guesses=True, shares=True, repeats=True))
def test_random_traffic_that_repeats_itself(traffic: Traffic) -> None:
    Simulation(traffic).run()


@settings(deadline=None, max_examples=examples(150))
@given(
    traffics(adapters=True, shares=True)
    | traffics(adapters=True, shares=True, guesses=True, repeats=True)
    | traffics(adapters=True, deterministic=True)
)
def test_random_traffic_over_several_adapters(traffic: Traffic) -> None:
    Simulation(traffic).run()
