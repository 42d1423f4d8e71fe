"""What runs when: steps one by one, and random traffic against a plain model of the KV cache."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.engine.base import Delta, Sampling
from ponant.engine.drafting import Drafter, DraftText
from ponant.engine.kv_cache import PIECE, Empty, KVCache, Share, Trim
from ponant.engine.pacing import Pacer
from ponant.engine.sampling import Draw
from ponant.engine.scheduler import FIXED_CHUNK, Chunk, Scheduler, Step
from ponant.engine.sequence import Sequence

END = 0
WORD = 1


def scheduler(
    *,
    cells: int = 4096,
    parallel: int = 4,
    batch_tokens: int = 512,
    retained: int = 0,
    deterministic: bool = False,
    most_draws: int = 0,
    pacer: Pacer | None = None,
) -> Scheduler:
    return Scheduler(
        cache=KVCache(cells=cells, slots=parallel + (8 if retained else 0), retained=retained),
        parallel=parallel,
        batch_tokens=batch_tokens,
        end_tokens=frozenset({END}),
        pacer=pacer or Pacer(batch_tokens),
        most_draws=most_draws,
        deterministic=deterministic,
    )


def completion(
    request_id: int,
    prompt: int | list[int],
    *,
    choice: int = 0,
    max_tokens: int | None = 1000,
    context: int = 4096,
    greedy: bool = False,
    repeatable: bool = False,
    prediction: list[int] | None = None,
    drafts: bool = False,
) -> Sequence:
    """A sequence; a number as its prompt stands for so many tokens that no other request has."""
    tokens = [1000 * request_id + index for index in range(prompt)] if isinstance(prompt, int) else prompt
    drafter = Drafter(DraftText(tokens), DraftText(prediction) if prediction else None)
    return Sequence(
        request_id,
        choice,
        tokens,
        seed=0,
        sampling=Sampling(temperature=0 if greedy else 1),
        repeatable=repeatable,
        drafter=drafter if drafts or prediction else None,
        max_tokens=max_tokens,
        min_tokens=0,
        context=context,
    )


def drawn_as(token: int | None) -> Draw | None:
    return None if token is None else Draw(token)


def step_of(scheduler: Scheduler) -> Step:
    step = scheduler.next_step()
    assert step
    return step


def run(scheduler: Scheduler, draw: Callable[[Sequence], int | None] = lambda _: WORD) -> tuple[Step, list[Delta]]:
    """One step; ``draw`` gives the tokens."""
    step = step_of(scheduler)
    assert not any(chunk.draft for chunk in step.chunks)
    drawn = [[drawn_as(draw(chunk.sequence))] for chunk in step.chunks if chunk.draws]
    deltas = scheduler.advance(step, drawn)
    return step, [delta for _, delta in deltas]


def lengths(step: Step) -> dict[int, int]:
    """How many tokens of each request are computed."""
    return {chunk.sequence.request_id: chunk.length for chunk in step.chunks}


def ids(sequences: Iterable[Sequence]) -> list[int]:
    return [sequence.request_id for sequence in sequences]


def test_nothing_to_do_gives_no_step() -> None:
    made = scheduler()
    assert made.idle
    assert made.next_step() is None
    assert made.take_started() == []


def test_whole_prompt_is_computed_and_only_its_last_token_draws() -> None:
    made = scheduler(batch_tokens=100)
    made.add([completion(1, 250)])
    chunks = [run(made)[0].chunks[0] for _ in range(4)]
    assert [(chunk.start, chunk.length, chunk.draws) for chunk in chunks] == [
        (0, 100, False),
        (100, 100, False),
        (200, 50, True),
        (250, 1, True),
    ]


def test_long_prompt_is_computed_in_pieces_beside_running_sequences() -> None:
    made = scheduler()
    made.add([completion(1, 5), completion(2, 5)])
    run(made)
    made.add([completion(3, 300)])
    seen = [lengths(run(made)[0]) for _ in range(6)]
    assert [step.pop(3) for step in seen] == [64, 64, 64, 64, 44, 1]
    assert all(step == {1: 1, 2: 1} for step in seen)


def test_short_prompts_overtake_long_ones_that_still_move_on() -> None:
    made = scheduler(parallel=8, batch_tokens=100)
    made.add([completion(1, 1000), completion(2, 400), completion(3, 40), completion(4, 10)])
    assert lengths(run(made)[0]) == {1: 50, 4: 10, 3: 40}
    assert lengths(run(made)[0])[1] >= 32  # of the 64 tokens that fit beside running completions
    steps = [lengths(run(made)[0]) for _ in range(100)]
    assert all(1 in step and step[1] >= 1 for step in steps)
    assert steps[-1] == {1: 1, 2: 1, 3: 1, 4: 1}


def test_sequences_enter_in_the_order_of_arrival_even_if_a_later_one_would_fit() -> None:
    made = scheduler(cells=200, parallel=4)
    made.add([completion(1, 100), completion(2, 150), completion(3, 5)])
    run(made)
    assert ids(made.running) == [1]
    assert ids(made.waiting) == [2, 3]
    made.cancel(1)
    run(made)
    assert ids(made.running) == [2, 3]


def test_no_more_than_parallel_sequences_run() -> None:
    made = scheduler(parallel=2)
    made.add(completion(1, 5, choice=choice) for choice in range(5))
    step, _ = run(made)
    assert [chunk.sequence.choice for chunk in step.chunks] == [0, 1]
    made.cancel(1, 0)
    assert [chunk.sequence.choice for chunk in run(made)[0].chunks] == [1, 2]


def test_youngest_is_put_back_first_and_enters_first() -> None:
    made = scheduler(cells=120, parallel=4)
    made.add([completion(1, 20), completion(2, 20), completion(3, 20), completion(4, 20)])
    seen: list[list[int]] = []
    for _ in range(60):
        run(made)
        assert ids([*made.running, *made.waiting]) == [1, 2, 3, 4]
        if ids(made.running) not in seen[-1:]:
            seen.append(ids(made.running))
    assert seen == [[1, 2, 3], [1, 2], [1]]
    made.cancel(1)
    run(made)
    assert ids(made.running) == [2]
    made.cancel(2)
    run(made)
    assert ids(made.running) == [3, 4]


def test_sequence_that_was_put_back_goes_on_where_it_stopped() -> None:
    made = scheduler()
    made.add([completion(1, 10)])
    tokens = iter(range(1, 100))
    drawn = [delta.tokens for _ in range(5) for delta in run(made, lambda _: next(tokens))[1]]
    made.put_back()
    step, deltas = run(made, lambda _: next(tokens))
    assert [(chunk.start, chunk.length, chunk.draws) for chunk in step.chunks] == [(0, 15, True)]
    assert [*drawn, deltas[0].tokens] == [[1], [2], [3], [4], [5], [6]]


def test_all_are_put_back_in_the_order_of_arrival() -> None:
    made = scheduler(deterministic=True, cells=4 * 4096)
    made.add([completion(1, 5), completion(2, 5), completion(2, 5, choice=1), completion(3, 5)])
    for _ in range(6):
        run(made)
    made.put_all_back()
    assert [(sequence.request_id, sequence.choice) for sequence in made.waiting] == [(1, 0), (2, 0), (2, 1), (3, 0)]
    assert not made.running


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        pytest.param([5, END], [Delta(0, [5]), Delta(0, [], "stop")], id="the model's own end"),
        pytest.param([5, 6, 7], [Delta(0, [5]), Delta(0, [6]), Delta(0, [7], "length")], id="max_tokens"),
        pytest.param([5, None], [Delta(0, [5]), Delta(0, [], "error")], id="a failure"),
    ],
)
def test_completion_ends(drawn: list[int | None], expected: list[Delta]) -> None:
    made = scheduler()
    made.add([completion(1, 5, max_tokens=3)])
    tokens = iter(drawn)
    assert [delta for _ in drawn for delta in run(made, lambda _: next(tokens))[1]] == expected
    assert made.idle


def test_completion_without_limit_ends_where_the_context_does() -> None:
    made = scheduler()
    made.add([completion(1, 5, max_tokens=None, context=7)])
    assert [delta.finish for _ in range(2) for delta in run(made)[1]] == [None, "model_length"]
    assert made.idle


def test_failed_choice_leaves_the_others_running() -> None:
    made = scheduler()
    made.add([completion(1, 5), completion(1, 5, choice=1)])
    run(made, lambda sequence: None if sequence.choice == 0 else WORD)
    assert [sequence.choice for sequence in made.running] == [1]


@pytest.mark.parametrize(
    ("choice", "left"), [(None, [(2, 0)]), (0, [(1, 1), (1, 2), (2, 0)]), (2, [(1, 0), (1, 1), (2, 0)]), (7, None)]
)
def test_cancelled_are_dropped_running_or_waiting(choice: int | None, left: list[tuple[int, int]] | None) -> None:
    made = scheduler(parallel=2)
    everything = [(1, 0), (1, 1), (1, 2), (2, 0)]
    made.add(completion(request_id, 5, choice=number) for request_id, number in everything)
    run(made)
    made.cancel(1, choice)
    made.cancel(99)
    remaining = [(sequence.request_id, sequence.choice) for sequence in [*made.running, *made.waiting]]
    assert remaining == (everything if left is None else left)


def test_request_is_reported_as_started_once() -> None:
    made = scheduler(parallel=2)
    made.add([*(completion(1, 5, choice=choice, max_tokens=2) for choice in range(4)), completion(2, 5)])
    reported: list[list[int]] = []
    for _ in range(8):
        run(made)
        reported.append(made.take_started())
        if len(reported) == 1:
            made.put_back()
    assert [started for started in reported if started] == [[1], [2]]


def test_request_is_started_by_whichever_choice_enters_first() -> None:
    made = scheduler(parallel=1)
    made.add([completion(1, 5), completion(2, 5), completion(2, 5, choice=1), completion(3, 5)])
    run(made)
    made.cancel(2, 0)
    made.cancel(3)
    made.cancel(1)
    run(made)
    assert made.take_started() == [1, 2]


def test_deterministic_chunks_end_at_fixed_borders_with_one_sequence_per_step() -> None:
    made = scheduler(deterministic=True, cells=4 * 4096)
    made.add([completion(1, 600), completion(2, 256), completion(3, 3)])
    computed: dict[int, list[tuple[int, int]]] = {1: [], 2: [], 3: []}
    for _ in range(12):
        step, _ = run(made)
        (chunk,) = step.chunks
        computed[chunk.sequence.request_id].append((chunk.start, chunk.length))
    assert computed == {
        1: [(0, 256), (256, 256), (512, 88), (600, 1)],
        2: [(0, 256), (256, 1), (257, 1), (258, 1)],
        3: [(0, 3), (3, 1), (4, 1), (5, 1)],
    }


def test_deterministic_chunks_are_the_same_after_a_sequence_was_put_back() -> None:
    made = scheduler(deterministic=True)
    made.add([completion(1, 300)])
    for _ in range(4):
        run(made)
    made.put_all_back()
    chunks = [run(made)[0].chunks[0] for _ in range(6)]
    assert [(chunk.start, chunk.length, chunk.draws) for chunk in chunks] == [
        (0, 256, False),
        (256, 44, False),
        (300, 1, False),
        (301, 1, False),
        (302, 1, True),
        (303, 1, True),
    ]


def test_prompt_that_is_being_computed_is_waited_for() -> None:
    shared = list(range(100, 400))
    made = scheduler(retained=2000, batch_tokens=200)
    made.add([completion(1, [*shared, 1]), completion(2, [*shared, 2])])
    assert lengths(run(made)[0]) == {1: 200}
    assert lengths(run(made)[0]) == {1: 101}
    step, _ = run(made)
    assert lengths(step) == {1: 1, 2: 1}
    assert [operation for operation in step.operations if isinstance(operation, Share)] == [Share(0, 1, 300)]
    _, deltas = run(made)
    assert {delta.reused for delta in deltas} == {0, 300}


@pytest.mark.parametrize("followers", [1, 2, 5])
def test_those_who_wait_for_a_cancelled_prompt_go_on_themselves(followers: int) -> None:
    shared = list(range(100, 700))
    made = scheduler(retained=2000, batch_tokens=100, parallel=8)
    made.add(completion(request_id, [*shared, request_id]) for request_id in range(1, followers + 2))
    run(made)
    made.cancel(1)
    step, _ = run(made)
    assert [(chunk.sequence.request_id, chunk.start) for chunk in step.chunks] == [(2, 100)]
    for _ in range(10):
        run(made)
    assert all(sequence.generated for sequence in made.running)


def test_reused_tokens_are_told_also_if_the_one_waited_for_is_done() -> None:
    shared = list(range(100, 300))
    made = scheduler(retained=2000)
    made.add([completion(1, [*shared, 1], max_tokens=1), completion(2, [*shared, 2])])
    run(made)
    _, (delta,) = run(made)
    assert delta.reused == 200


@dataclass(eq=False)
class Cell:
    """A cell of the cache. ``piece``: computed with a whole piece of a prompt, alone, after nothing but pieces."""

    piece: bool


@dataclass
class PlainCache:
    """What llama.cpp would hold: for each slot its tokens, and the cells they are in."""

    cells: int
    tokens: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    cells_of: dict[int, list[Cell]] = field(default_factory=dict[int, list[Cell]])
    lost: bool = False
    """Whether all was emptied since the last operations, which may still be about what was there before."""

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
        is_piece = alone and chunk.length == PIECE and chunk.start % PIECE == 0 and end <= sequence.prompt_length
        is_piece = is_piece and all(cell.piece for cell in cells)
        cells += [Cell(is_piece) for _ in range(chunk.length + len(chunk.draft))]

    @property
    def used(self) -> int:
        return len({cell for cells in self.cells_of.values() for cell in cells})


@dataclass(frozen=True)
class Traffic:
    """A kind of traffic and of server."""

    seed: int
    cells: int
    parallel: int
    batch_tokens: int
    context: int
    retained: int
    deterministic: bool
    arrivals: int
    guesses: bool = False
    """Whether texts are given that are often right about what comes next."""
    repeats: bool = False
    """Whether some sequences are to be repeatable or greedy, and prompts come again."""


class Simulation:
    """Random traffic, checked after every step."""

    def __init__(self, traffic: Traffic) -> None:
        self.random = random.Random(traffic.seed)
        self.traffic = traffic
        self.scheduler = scheduler(
            cells=traffic.cells,
            parallel=traffic.parallel,
            batch_tokens=traffic.batch_tokens,
            retained=traffic.retained,
            deterministic=traffic.deterministic,
            most_draws=traffic.parallel + self.random.choice([0, 1, 5, 63]) if traffic.guesses else 0,
            pacer=Pacer(traffic.batch_tokens),
        )
        self.cache = PlainCache(traffic.cells)
        self.stems = [[self.random.randint(1, 3) for _ in range(traffic.context)] for _ in range(3)]
        self.arrived: dict[tuple[int, int], int] = {}
        self.open: dict[tuple[int, int], Sequence] = {}
        self.prompts: dict[tuple[int, int], list[int]] = {}
        self.drawn: dict[tuple[int, int], list[int]] = {}
        self.started: set[int] = set()
        self.guessed: dict[tuple[int, int], tuple[int, int]] = {}
        """How many tokens drafted for each were right and wrong."""

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
        max_tokens = self.random.choice([None, 1, 5, 40])
        kind = self.random.choice(["", "greedy", "repeatable"]) if self.traffic.repeats else ""
        sequences = [
            completion(
                request_id,
                prompt,
                choice=choice,
                max_tokens=max_tokens,
                context=self.traffic.context,
                greedy=kind == "greedy",
                repeatable=kind == "repeatable",
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
            self.scheduler.put_back()  # as when llama.cpp finds no room: nothing was computed
            return
        for chunk in step.chunks:
            self.cache.compute(chunk, alone=len(step.chunks) == 1)
        assert self.cache.used <= self.traffic.cells
        self.take_deltas(step)
        self.scheduler.pacer.observe(step.decoded, step.prefilled, step.depth, self.random.random())

    def check_cache(self) -> None:
        """What is said to be computed and nothing else is in the cache: no guess that was wrong, above all."""
        for sequence in self.scheduler.running:
            assert self.scheduler.cache.length(sequence.slot) == sequence.computed
            assert self.cache.tokens.get(sequence.slot, []) == sequence.tokens[: sequence.computed]
        assert self.scheduler.cache.free == self.traffic.cells - self.cache.used

    def check_first(self, sequence: Sequence) -> None:
        """A repeatable sequence that enters when nothing runs takes over what it would compute itself in that way."""
        if sequence.repeatable and sequence.generated == 0:
            assert all(cell.piece for cell in self.cache.cells_of.get(sequence.slot, []))

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
            self.scheduler.put_all_back()
            self.cache.lose_all()

    def take_delta(self, name: tuple[int, int], delta: Delta, chunk: Chunk, drawn: list[int | None]) -> None:
        """Check that a delta has what was drawn up to the first guess that was wrong, or up to the end."""
        sequence = self.open[name]
        assert 0 <= delta.reused < sequence.prompt_length
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
        """A token for each row of a chunk, often the one that was guessed."""
        return [
            guess if guess is not None and self.random.random() < 0.7 else self.draw_one()
            for guess in [*chunk.draft, None]
        ]

    def draw_one(self) -> int | None:
        chance = self.random.random()
        return END if chance < 0.05 else None if chance < 0.06 else self.random.randint(1, 3)


@st.composite
def traffics(
    draw: st.DrawFn, *, deterministic: bool = False, shares: bool = False, guesses: bool = False, repeats: bool = False
) -> Traffic:
    parallel = draw(st.integers(1, 6))
    if deterministic:
        context = draw(st.sampled_from([20, 300, 600]))
    else:
        context = draw(st.integers(4, 100) | (st.integers(130, 300) if repeats else st.nothing()))
    cells = parallel * context if deterministic else draw(st.integers(context, 3 * context))
    batch_tokens = draw(st.sampled_from([PIECE, 8 * PIECE]) if repeats else st.integers(8, 64))
    return Traffic(
        seed=draw(st.integers(0, 2**32)),
        cells=cells,
        parallel=parallel,
        batch_tokens=FIXED_CHUNK if deterministic else batch_tokens,
        context=context,
        retained=draw(st.integers(1, cells)) if shares else 0,
        deterministic=deterministic,
        arrivals=draw(st.integers(1, 12)),
        guesses=guesses,
        repeats=repeats,
    )


@settings(deadline=None, max_examples=120)
@given(traffics())
def test_random_traffic_without_sharing(traffic: Traffic) -> None:
    Simulation(traffic).run()


@settings(deadline=None, max_examples=200)
@given(traffics(shares=True))
def test_random_traffic_that_shares_prefixes(traffic: Traffic) -> None:
    Simulation(traffic).run()


@settings(deadline=None, max_examples=40)
@given(traffics(deterministic=True))
def test_random_traffic_under_deterministic(traffic: Traffic) -> None:
    Simulation(traffic).run()


@settings(deadline=None, max_examples=100)
@given(traffics(guesses=True) | traffics(guesses=True, shares=True))
def test_random_traffic_that_is_guessed(traffic: Traffic) -> None:
    Simulation(traffic).run()


@settings(deadline=None, max_examples=100)
@given(traffics(guesses=True, shares=True, repeats=True))
def test_random_traffic_that_repeats_itself(traffic: Traffic) -> None:
    Simulation(traffic).run()
