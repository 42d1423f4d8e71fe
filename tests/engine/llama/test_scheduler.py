"""Scheduler, step by step."""

import pytest

from ponant.engine.base import Delta
from ponant.engine.llama.kv_cache import Restore, Share
from ponant.engine.llama.rotation import STEPS_PER_TURN
from ponant.engine.llama.scheduler import Scheduler
from ponant.engine.llama.step_costs import StepTime
from tests.engine.llama.scheduling import END, WORD, completion, ids, lengths, run, scheduler


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
    assert lengths(run(made)[0])[1] >= 32  # of the 64 tokens that fit into a batch with running completions
    steps = [lengths(run(made)[0]) for _ in range(100)]
    assert all(1 in step and step[1] >= 1 for step in steps)
    assert steps[-1] == {1: 1, 2: 1, 3: 1, 4: 1}


def scheduler_of_a_machine_for_bursts(cells: int = 4096, parallel: int = 4) -> Scheduler:
    """Return a scheduler that measured 20 ms for two rows, and 1 or 3 ms per token of large or small chunks."""
    made = scheduler(cells=cells, parallel=parallel)
    for decoded, prefilled, seconds in [(2, 0, 0.02), (0, 128, 0.128), *[(2, 8, 0.044)] * 5]:
        made.observe(StepTime(decoded, prefilled, 0, seconds))
    return made


def test_bursts_are_steps_of_their_own_with_steps_of_decoding_between_them() -> None:
    made = scheduler_of_a_machine_for_bursts()
    made.add([completion(1, 5), completion(2, 5)])
    run(made)
    made.add([completion(3, 1500)])
    computed: list[dict[int, int]] = []
    for _ in range(50):
        step, _ = run(made)
        seconds = 0.001 * step.prefilled + 0.01 * step.decoded
        made.observe(step.timed(seconds))
        computed.append(lengths(step))
    bursts = [number for number, step in enumerate(computed) if 3 in step]
    assert bursts == [0, 23, 46]
    assert [computed[number] for number in bursts] == [{3: 448}] * 3
    assert all(step == {1: 1, 2: 1} for number, step in enumerate(computed) if number not in bursts)


def test_bursts_are_for_all_long_prompts_and_short_ones_do_not_wait_for_them() -> None:
    made = scheduler_of_a_machine_for_bursts(cells=8192, parallel=8)
    made.add([completion(1, 5), completion(2, 5)])
    run(made)
    made.add([completion(3, 1500), completion(4, 1500), completion(5, 20)])
    step, _ = run(made)
    assert lengths(step) == {3: 224, 4: 224}
    made.observe(step.timed(0.448))
    assert lengths(run(made)[0]) == {1: 1, 2: 1, 5: 6}


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


def test_youngest_is_preempted_first_and_enters_first() -> None:
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


def test_preempted_sequence_resumes_where_it_stopped() -> None:
    made = scheduler()
    made.add([completion(1, 10)])
    tokens = iter(range(1, 100))
    drawn = [delta.tokens for _ in range(5) for delta in run(made, lambda _: next(tokens))[1]]
    made.preempt()
    step, deltas = run(made, lambda _: next(tokens))
    assert [(chunk.start, chunk.length, chunk.draws) for chunk in step.chunks] == [(0, 15, True)]
    assert [*drawn, deltas[0].tokens] == [[1], [2], [3], [4], [5], [6]]


def test_all_are_preempted_in_the_order_of_arrival() -> None:
    made = scheduler(deterministic=True, cells=4 * 4096)
    made.add([completion(1, 5), completion(2, 5), completion(2, 5, choice=1), completion(3, 5)])
    for _ in range(6):
        run(made)
    made.preempt_all()
    assert [(sequence.request_id, sequence.choice) for sequence in made.waiting] == [(1, 0), (2, 0), (2, 1), (3, 0)]
    assert not made.running


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        pytest.param([5, END], [Delta(0, [5]), Delta(0, [], "stop", end=END)], id="the model's own end"),
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
            made.preempt()
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


def test_deterministic_chunks_are_the_same_after_a_preemption() -> None:
    made = scheduler(deterministic=True)
    made.add([completion(1, 300)])
    for _ in range(4):
        run(made)
    made.preempt_all()
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
    made = scheduler(shares=True, batch_tokens=200)
    made.add([completion(1, [*shared, 1]), completion(2, [*shared, 2])])
    assert lengths(run(made)[0]) == {1: 200}
    assert lengths(run(made)[0]) == {1: 101}
    step, _ = run(made)
    assert lengths(step) == {1: 1, 2: 1}
    assert [operation for operation in step.operations if isinstance(operation, Share)] == [Share(0, 1, 300)]
    _, deltas = run(made)
    assert {delta.cached_tokens for delta in deltas} == {0, 300}


@pytest.mark.parametrize("followers", [1, 2, 5])
def test_those_who_wait_for_a_cancelled_prompt_go_on_themselves(followers: int) -> None:
    shared = list(range(100, 700))
    made = scheduler(shares=True, batch_tokens=100, parallel=8)
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
    made = scheduler(shares=True)
    made.add([completion(1, [*shared, 1], max_tokens=1), completion(2, [*shared, 2])])
    run(made)
    _, (delta,) = run(made)
    assert delta.cached_tokens == 200


def test_preempted_sequence_is_not_computed_again() -> None:
    made = scheduler(cells=120, parallel=2, shares=True)
    made.add([completion(1, 30), completion(2, 30)])
    run(made)
    while not made.waiting:
        run(made)
    (waiting,) = made.waiting
    length = len(waiting.tokens)
    made.cancel(1)
    step, _ = run(made)
    assert [operation.end for operation in step.operations if isinstance(operation, Restore)] == [length - 1]
    assert [(chunk.sequence, chunk.start, chunk.length) for chunk in step.chunks] == [(waiting, length - 1, 1)]


def adapters_of(made: Scheduler, steps: int) -> list[str | None]:
    """Return the adapter of each step."""
    seen: list[str | None] = []
    for _ in range(steps):
        step, _ = run(made)
        assert {chunk.sequence.adapter for chunk in step.chunks} == {step.adapter}
        seen.append(step.adapter)
    return seen


def test_adapters_take_turns_of_several_steps() -> None:
    made = scheduler(parallel=8)
    for request_id, adapter in enumerate([None, "a", "b", "a", None]):
        made.add([completion(request_id + 1, 5, adapter=adapter)])
    assert adapters_of(made, 3) == [None, "a", "b"]  # the prompts
    for _ in range(3):
        assert adapters_of(made, 3 * STEPS_PER_TURN) == [
            adapter for adapter in (None, "a", "b") for _ in range(STEPS_PER_TURN)
        ]
    made.cancel(3)
    assert adapters_of(made, 2 * STEPS_PER_TURN) == [None] * STEPS_PER_TURN + ["a"] * STEPS_PER_TURN
    made.cancel(2)
    made.cancel(4)
    assert adapters_of(made, 10) == [None] * 10


def test_no_adapter_waits_longer_than_a_round_whatever_the_others_ask_for() -> None:
    made = scheduler(parallel=16)
    made.add([completion(1, 5, adapter="patient")])
    waited = 0
    for request_id in range(2, 300):
        made.add([completion(request_id, 1 + request_id % 7, max_tokens=3, adapter=f"busy {request_id % 3}")])
        step, _ = run(made)
        waited = 0 if step.adapter == "patient" else waited + 1
        assert waited <= 3 * STEPS_PER_TURN


def test_prompt_leaves_time_to_completions_with_other_adapters() -> None:
    made = scheduler()
    made.add([completion(1, 5), completion(2, 5)])
    run(made)
    made.add([completion(3, 300, adapter="a")])
    seen = [lengths(run(made)[0]) for _ in range(10)]
    assert [step[3] for step in seen if 3 in step] == [64, 64, 64, 64, 44]  # as next to completions without an adapter
    assert [step for step in seen if 3 not in step] == [{1: 1, 2: 1}] * 5


def test_completions_that_wait_for_a_prompt_with_another_adapter_are_told_of() -> None:
    made = scheduler()
    made.add([completion(1, 5), completion(2, 5)])
    run(made)
    made.add([completion(3, 300, adapter="a")])
    delayed = {step.adapter: step.delayed for step in (run(made)[0] for _ in range(8))}
    assert delayed == {None: 0, "a": 2}


def test_same_prompt_with_another_adapter_is_computed_anew() -> None:
    prompt = list(range(100, 400))
    made = scheduler(shares=True)
    made.add([completion(1, prompt), completion(2, prompt, adapter="a"), completion(3, prompt, adapter="a")])
    computed: dict[int, int] = {}
    for _ in range(25):
        step, _ = run(made)
        for chunk in step.chunks:
            computed[chunk.sequence.request_id] = computed.get(chunk.sequence.request_id, 0) + chunk.length
    assert computed[1] >= 300
    assert computed[2] >= 300
    assert computed[3] < 50


def test_deterministic_steps_have_the_adapter_of_their_sequence() -> None:
    made = scheduler(deterministic=True, cells=4 * 4096)
    made.add([completion(1, 5, adapter="a"), completion(2, 5), completion(3, 5, adapter="b")])
    assert adapters_of(made, 6) == ["a", None, "b"] * 2
