"""What steps cost, and how much prefill is allowed beside running completions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.llama.pacing import USUAL_COSTS, Pacer, StepCosts


def learned(*steps: tuple[int, int, int, float], most: int = 512) -> Pacer:
    """A pacer that has seen steps of so many rows of running completions and of prompts, at a depth, in seconds."""
    pacer = Pacer(most)
    for decoded, prefilled, depth, seconds in steps:
        pacer.observe(decoded, prefilled, depth, seconds)
    return pacer


DECODING = (8, 0, 0, 0.02)


def test_nothing_runs_so_nothing_is_held_back() -> None:
    assert Pacer(512).prefill_tokens(0) == 512
    assert learned(DECODING, (0, 100, 0, 10.0)).prefill_tokens(0, 5000) == 512


@pytest.mark.parametrize("most", [16, 512])
def test_first_guess_is_small(most: int) -> None:
    assert Pacer(most).prefill_tokens(3) == min(64, most)


@pytest.mark.parametrize("prefill", [(0, 100, 0, 0.1), (8, 20, 0, 0.04)])
def test_step_with_prefill_takes_about_twice_as_long_as_one_without(prefill: tuple[int, int, int, float]) -> None:
    assert learned(DECODING, prefill).prefill_tokens(8) == pytest.approx(19, abs=1)


def test_chunks_get_smaller_where_tokens_get_dearer() -> None:
    pacer = learned(DECODING, (8, 20, 0, 0.04), (8, 20, 3000, 0.08))
    assert pacer.prefill_tokens(8, 3000) == pytest.approx(6, abs=1)
    assert pacer.prefill_tokens(8, 5000) == pacer.prefill_tokens(8, 3000)
    assert pacer.prefill_tokens(8, 0) == pytest.approx(19, abs=1)


def test_fast_machine_is_no_reason_for_longer_steps() -> None:
    assert learned((8, 0, 0, 0.002), (8, 20, 0, 0.004)).prefill_tokens(8) == pytest.approx(19, abs=1)


def test_prefill_never_stops_however_dear_it_is() -> None:
    assert learned((1, 0, 0, 0.001), (1, 10, 0, 100.0)).prefill_tokens(1) == 4


def test_prefill_never_exceeds_the_batch_however_cheap_it_is() -> None:
    assert learned((1, 0, 0, 10.0), (0, 500, 0, 0.001), most=100).prefill_tokens(1) == 100


def test_one_slow_step_changes_little_and_many_change_all() -> None:
    steps = [DECODING, (8, 22, 0, 0.042)] * 20
    before = learned(*steps).prefill_tokens(8)
    assert before == pytest.approx(19, abs=1)
    assert learned(*steps, (8, 0, 0, 0.04)).prefill_tokens(8) <= before * 1.3
    assert learned(*steps, *[(8, 0, 0, 0.04)] * 50).prefill_tokens(8) == pytest.approx(38, abs=2)


def test_what_completions_cost_alone_is_seen_again_and_again() -> None:
    pacer = learned(DECODING)
    allowed: list[int] = []
    for _ in range(40):
        allowed.append(pacer.prefill_tokens(8))
        pacer.observe(8, allowed[-1], 0, 0.02 + 0.001 * allowed[-1])
    assert allowed.count(0) == 2
    assert min(tokens for tokens in allowed if tokens) >= 4


SMALL_AT_THE_TOP = [(8, 20, 0, 0.04)] * 5
SMALL_IN_THE_DEPTH = [(8, 20, 4096, 0.18)] * 5
CLIFF = [DECODING, (0, 128, 4096, 0.256), *SMALL_IN_THE_DEPTH]
"""Deep in a prompt a token takes 2 ms in a large chunk, and 8 ms in a small one beside others."""


def test_bursts_are_for_depths_where_small_chunks_are_slow() -> None:
    pacer = learned(*SMALL_AT_THE_TOP, *CLIFF, *SMALL_AT_THE_TOP, (0, 128, 0, 0.128))
    assert pacer.prefers_bursts(8, 4096, 6000)
    assert pacer.prefers_bursts(8, 7000, 6000)
    assert not pacer.prefers_bursts(8, 0, 6000)
    assert not Pacer(512).prefers_bursts(8, 0, 6000)


def test_few_slow_steps_with_small_chunks_are_no_reason_for_bursts() -> None:
    assert not learned(*CLIFF[:-1]).prefers_bursts(8, 4096, 6000)


def test_bursts_are_for_long_prompts() -> None:
    assert not learned(*CLIFF).prefers_bursts(8, 4096, 50)
    assert learned(*CLIFF).prefers_bursts(8, 4096, 60)


def test_bursts_are_preferred_where_the_smallest_chunk_is_too_long_for_a_step() -> None:
    alone, smallest, large = (1, 0, 0, 0.002), (1, 4, 0, 0.006), (0, 128, 0, 0.128)
    assert learned(alone, *[smallest] * 5, large).prefers_bursts(1, 0, 6000)
    assert not learned((1, 0, 0, 0.004), *[(1, 4, 0, 0.0075)] * 5, large).prefers_bursts(1, 0, 6000)


def test_machine_that_would_need_many_seconds_for_a_burst_has_none() -> None:
    slow = [(decoded, prefilled, depth, 100 * seconds) for decoded, prefilled, depth, seconds in CLIFF]
    assert not learned(*slow).prefers_bursts(8, 4096, 6000)


def test_what_large_chunks_cost_is_seen_again_and_again() -> None:
    pacer = learned(DECODING, (0, 128, 0, 0.512))  # while others had the machine
    large: list[int] = []
    for _ in range(400):
        if not pacer.prefers_bursts(8, 0, 6000):
            pacer.observe(8, 10, 0, 0.04)
        elif tokens := pacer.burst_tokens(8, 0, 6000):
            pacer.observe(0, tokens, 0, 0.001 * tokens, delayed=8)
            large.append(tokens)
        else:
            pacer.observe(*DECODING)
    assert large[0] == 64
    assert large[-1] == pytest.approx(22 * 0.02 / 0.001, abs=32)


@pytest.mark.parametrize("decoded", [8, 0])
def test_fewer_steps_than_one_in_twenty_are_bursts_and_half_of_the_time_is_for_them(decoded: int) -> None:
    pacer = learned(*CLIFF)
    tokens = pacer.burst_tokens(8, 4096, 6000)
    assert tokens * 0.002 == pytest.approx(22 * 0.02, rel=0.2)
    pacer.observe(decoded, tokens, 4096, 0.002 * tokens, delayed=8 - decoded)
    pauses = 0
    while pacer.burst_tokens(8, 4096, 6000) == 0:
        pacer.observe(*DECODING)
        pauses += 1
    assert pauses == pytest.approx(22, abs=1)


def test_burst_that_took_longer_than_it_should_is_followed_by_a_longer_pause() -> None:
    pacer = learned(*CLIFF)
    pacer.observe(0, 192, 4096, 1.0, delayed=8)
    pauses = 0
    while pacer.burst_tokens(8, 4096, 6000) == 0:
        pacer.observe(*DECODING)
        pauses += 1
    assert pauses * 0.02 == pytest.approx(1.0, rel=0.1)


def test_burst_that_took_less_than_its_time_is_followed_by_a_longer_one() -> None:
    pacer = learned(*CLIFF)
    usual = pacer.burst_tokens(8, 4096, 6000)
    pacer.observe(0, 128, 4096, 0.256, delayed=8)
    for _ in range(22):
        assert pacer.burst_tokens(8, 4096, 6000) == 0
        pacer.observe(*DECODING)
    assert pacer.burst_tokens(8, 4096, 6000) > usual


def test_bursts_are_large_enough_to_pay_and_never_too_long() -> None:
    assert learned((1, 0, 0, 0.001), (1, 20, 0, 1.0)).burst_tokens(1, 0, 6000) == 64
    assert learned((8, 0, 0, 1.0), (0, 500, 0, 5.0)).burst_tokens(8, 0, 6000) == pytest.approx(300, abs=32)
    assert learned((8, 0, 0, 1.0), (0, 500, 0, 0.1)).burst_tokens(8, 0, 6000) == 512


def test_no_burst_leaves_over_less_than_another_one_needs() -> None:
    pacer = learned(*CLIFF)
    usual = pacer.burst_tokens(8, 4096, 6000)
    assert [pacer.burst_tokens(8, 4096, left) for left in (20, usual + 63, usual + 64)] == [20, usual + 63, usual]


@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 512), st.integers(0, 10_000), st.floats(0, 1e6))),
    decoding=st.integers(0, 20),
    depth=st.integers(0, 10_000),
    most=st.integers(64, 2048),
)
def test_any_observations_give_a_possible_size(
    steps: list[tuple[int, int, int, float]], decoding: int, depth: int, most: int
) -> None:
    pacer = learned(*steps, most=most)
    assert pacer.prefill_tokens(decoding, depth) in (0, *range(4, most + 1))
    for _ in range(300):
        if tokens := pacer.burst_tokens(decoding, depth, 10_000):
            assert 64 <= tokens <= most
            break
        pacer.observe(1, 0, 0, 1e6)
    else:
        raise AssertionError("no burst ever")


def costs(*steps: tuple[int, float]) -> StepCosts:
    made = StepCosts()
    for rows, seconds in steps:
        made.observe(rows, seconds)
    return made


def seconds_of(made: StepCosts, most_rows: int) -> list[float]:
    seconds = made.seconds(most_rows)
    assert seconds is not None
    values: list[float] = seconds.tolist()
    return values


def test_nothing_is_told_before_anything_is_known() -> None:
    assert StepCosts().seconds(10) is None


def test_what_is_between_known_sizes_is_interpolated() -> None:
    assert seconds_of(costs((1, 1.0), (5, 9.0)), 5) == pytest.approx([1, 3, 5, 7, 9])


def test_what_is_below_or_beyond_all_known_sizes_is_in_proportion() -> None:
    seconds = seconds_of(costs((4, 4.0), (10, 20.0)), 40)
    assert seconds[:4] == pytest.approx([1, 2, 3, 4])
    assert seconds[9:] == pytest.approx([2.0 * rows for rows in range(10, 41)])


def test_steps_of_similar_size_are_one_class_that_follows_what_is_seen() -> None:
    made = costs((10, 1.0), *[(16, 4.0)] * 100)
    assert seconds_of(made, 16)[15] == pytest.approx(4.0)
    made = costs(*[(1, 1.0)] * 100, (1, 2.0))
    assert 1 < seconds_of(made, 1)[0] < 1.5


def test_jump_between_kernels_is_kept() -> None:
    seconds = seconds_of(costs((63, 2.0), (64, 1.0)), 64)
    assert seconds[62:] == [2.0, 1.0]


def test_usual_costs_have_a_dear_first_row() -> None:
    seconds = np.array(seconds_of(USUAL_COSTS, 64))
    assert seconds[0] == 1
    assert np.diff(seconds) == pytest.approx(0.4)


@given(
    steps=st.lists(st.tuples(st.integers(1, 600), st.floats(0, 1e6)), min_size=1),
    most_rows=st.integers(1, 700),
)
def test_costs_are_possible_and_within_what_was_seen(steps: list[tuple[int, float]], most_rows: int) -> None:
    seconds = np.array(seconds_of(costs(*steps), most_rows))
    assert len(seconds) == most_rows
    assert np.isfinite(seconds).all()
    assert (seconds >= 0).all()
    dearest = max(seen for _, seen in steps)
    largest = min(max(rows for rows, _ in steps), most_rows)
    if len({rows for rows, _ in steps}) == 1:
        assert (seconds[:largest] <= dearest * (1 + 1e-9)).all()


@given(
    known=st.dictionaries(st.sampled_from([1, 2, 4, 8, 16, 32, 63, 100, 200, 500]), st.floats(1e-6, 10), min_size=1),
    repeats=st.integers(1, 5),
)
def test_what_was_always_seen_is_what_is_told(known: dict[int, float], repeats: int) -> None:
    seconds = seconds_of(costs(*[*known.items()] * repeats), 500)
    assert [seconds[rows - 1] for rows in known] == pytest.approx(list(known.values()))
    smallest, largest = min(known), max(known)
    between = seconds[smallest - 1 : largest]
    assert min(known.values()) * (1 - 1e-9) <= min(between)
    assert max(between) <= max(known.values()) * (1 + 1e-9)
