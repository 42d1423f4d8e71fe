"""Prefill planned for steps with running completions."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.llama.prefill import BurstPrefill, PrefillPlan, SteadyPrefill
from ponant.engine.llama.sequence import Sequence
from ponant.engine.llama.step_costs import StepCosts, StepTime
from tests.engine.llama.scheduling import completion


class Learned:
    """Prefill policies that have observed some steps of a machine."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.costs = StepCosts()
        self.steady = SteadyPrefill(self.costs, most)
        self.bursts = BurstPrefill(self.costs, most)

    def observe(self, decoded: int, prefilled: int, depth: int, seconds: float, *, delayed: int = 0) -> None:
        step = StepTime(decoded, prefilled, depth, seconds, delayed)
        self.costs.observe(step)
        self.steady.observe(step)
        self.bursts.observe(step)

    def plan(self, decoding: int, depth: int, tokens: int, left: int | None = None) -> PrefillPlan:
        """Return the plan for a prompt with ``tokens`` uncached tokens, computed up to a depth."""
        return self.bursts.plan(decoding, [prompt(depth, tokens, left)], room=self.most)

    def prefill_tokens(self, decoding: int, depth: int = 0) -> int:
        """Return the tokens of a long prompt in a step with steady prefill."""
        plan = self.steady.plan(decoding, [prompt(depth, 6000, 100_000)], room=self.most)
        assert plan.decodes
        return tokens_of(plan)

    def prefers_bursts(self, decoding: int, depth: int, tokens: int) -> bool:
        """True if such a prompt comes in bursts; not valid between two of them."""
        return not self.plan(decoding, depth, tokens).decodes

    def burst_tokens(self, decoding: int, depth: int, left: int) -> int:
        """Return the tokens of a burst for a prompt with ``left`` tokens left; 0 between two bursts."""
        plan = self.plan(decoding, depth, 6000, left)
        return 0 if plan.decodes else tokens_of(plan)


def tokens_of(plan: PrefillPlan) -> int:
    return sum(length for _, length in plan.tokens)


@cache
def prompt(depth: int, tokens: int, left: int | None = None) -> Sequence:
    """Return a prompt with ``tokens`` uncached tokens, computed up to a depth. Plans leave it unchanged."""
    made = completion(1, depth + left if left is not None else max(depth + 1, tokens))
    made.cached_tokens = len(made.tokens) - tokens
    made.computed = depth
    return made


def learned(*steps: tuple[int, int, int, float], most: int = 512) -> Learned:
    """Return policies that observed steps: rows of completions, rows of prompts, depth, seconds."""
    machine = Learned(most)
    for decoded, prefilled, depth, seconds in steps:
        machine.observe(decoded, prefilled, depth, seconds)
    return machine


DECODING = (8, 0, 0, 0.02)


def test_nothing_runs_so_nothing_is_held_back() -> None:
    assert learned().prefill_tokens(0) == 512
    assert learned(DECODING, (0, 100, 0, 10.0)).prefill_tokens(0, 5000) == 512


@pytest.mark.parametrize("most", [16, 512])
def test_first_guess_is_small(most: int) -> None:
    assert learned(most=most).prefill_tokens(3) == min(64, most)


@pytest.mark.parametrize("prefill", [(0, 100, 0, 0.1), (8, 20, 0, 0.04)])
def test_step_with_prefill_takes_about_twice_as_long_as_one_without(prefill: tuple[int, int, int, float]) -> None:
    assert learned(DECODING, prefill).prefill_tokens(8) == pytest.approx(19, abs=1)


def test_chunks_get_smaller_where_tokens_get_dearer() -> None:
    machine = learned(DECODING, (8, 20, 0, 0.04), (8, 20, 3000, 0.08))
    assert machine.prefill_tokens(8, 3000) == pytest.approx(6, abs=1)
    assert machine.prefill_tokens(8, 5000) == machine.prefill_tokens(8, 3000)
    assert machine.prefill_tokens(8, 0) == pytest.approx(19, abs=1)


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
    machine = learned(DECODING)
    allowed: list[int] = []
    for _ in range(40):
        allowed.append(machine.prefill_tokens(8))
        machine.observe(8, allowed[-1], 0, 0.02 + 0.001 * allowed[-1])
    assert allowed.count(0) == 2
    assert min(tokens for tokens in allowed if tokens) >= 4


SMALL_AT_THE_TOP = [(8, 20, 0, 0.04)] * 5
SMALL_IN_THE_DEPTH = [(8, 20, 4096, 0.18)] * 5
CLIFF = [DECODING, (0, 128, 4096, 0.256), *SMALL_IN_THE_DEPTH]
"""Deep in a prompt a token takes 2 ms in a large chunk, and 8 ms in a small one."""


def test_bursts_are_for_depths_where_small_chunks_are_slow() -> None:
    machine = learned(*SMALL_AT_THE_TOP, *CLIFF, *SMALL_AT_THE_TOP, (0, 128, 0, 0.128))
    assert machine.prefers_bursts(8, 4096, 6000)
    assert machine.prefers_bursts(8, 7000, 6000)
    assert not machine.prefers_bursts(8, 0, 6000)
    assert not learned().prefers_bursts(8, 0, 6000)


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
    machine = learned(DECODING, (0, 128, 0, 0.512))  # while other programs used the machine
    large: list[int] = []
    for _ in range(400):
        plan = machine.plan(8, 0, 6000)
        if not plan.decodes:
            large.append(tokens_of(plan))
            machine.observe(0, large[-1], 0, 0.001 * large[-1], delayed=8)
        elif plan.tokens:
            machine.observe(8, 10, 0, 0.04)
        else:
            machine.observe(*DECODING)
    assert large[0] == 64
    assert large[-1] == pytest.approx(22 * 0.02 / 0.001, abs=32)


@pytest.mark.parametrize("decoded", [8, 0])
def test_fewer_steps_than_one_in_twenty_are_bursts_and_half_of_the_time_is_for_them(decoded: int) -> None:
    machine = learned(*CLIFF)
    tokens = machine.burst_tokens(8, 4096, 6000)
    assert tokens * 0.002 == pytest.approx(22 * 0.02, rel=0.2)
    machine.observe(decoded, tokens, 4096, 0.002 * tokens, delayed=8 - decoded)
    pauses = 0
    while machine.burst_tokens(8, 4096, 6000) == 0:
        machine.observe(*DECODING)
        pauses += 1
    assert pauses == pytest.approx(22, abs=1)


def test_burst_that_took_longer_than_it_should_is_followed_by_a_longer_pause() -> None:
    machine = learned(*CLIFF)
    machine.observe(0, 192, 4096, 1.0, delayed=8)
    pauses = 0
    while machine.burst_tokens(8, 4096, 6000) == 0:
        machine.observe(*DECODING)
        pauses += 1
    assert pauses * 0.02 == pytest.approx(1.0, rel=0.1)


def test_burst_that_took_less_than_its_time_is_followed_by_a_longer_one() -> None:
    machine = learned(*CLIFF)
    usual = machine.burst_tokens(8, 4096, 6000)
    machine.observe(0, 128, 4096, 0.256, delayed=8)
    for _ in range(22):
        assert machine.burst_tokens(8, 4096, 6000) == 0
        machine.observe(*DECODING)
    assert machine.burst_tokens(8, 4096, 6000) > usual


@pytest.mark.parametrize(
    ("alone", "small", "large", "tokens"),
    [
        ((1, 0, 0, 0.001), (1, 20, 0, 1.0), [], 64),
        ((8, 0, 0, 1.0), (8, 20, 0, 3.0), [(0, 500, 0, 5.0)], 300),
        ((8, 0, 0, 1.0), (8, 20, 0, 3.0), [(0, 500, 0, 0.1)], 512),
    ],
)
def test_bursts_are_large_enough_to_pay_and_never_too_long(
    alone: tuple[int, int, int, float],
    small: tuple[int, int, int, float],
    large: list[tuple[int, int, int, float]],
    tokens: int,
) -> None:
    assert learned(alone, *[small] * 5, *large).burst_tokens(alone[0], 0, 6000) == pytest.approx(tokens, abs=32)


def test_no_burst_leaves_over_less_than_another_one_needs() -> None:
    machine = learned(*CLIFF)
    usual = machine.burst_tokens(8, 4096, 6000)
    assert [machine.burst_tokens(8, 4096, left) for left in (20, usual + 63, usual + 64)] == [20, usual + 63, usual]


@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 512), st.integers(0, 10_000), st.floats(0, 1e6))),
    decoding=st.integers(0, 20),
    depth=st.integers(0, 10_000),
    most=st.integers(64, 2048),
)
def test_any_observations_give_a_possible_size(
    steps: list[tuple[int, int, int, float]], decoding: int, depth: int, most: int
) -> None:
    machine = learned(*steps, most=most)
    for _ in range(300):
        plan = machine.plan(decoding, depth, 6000, 10_000)
        assert tokens_of(plan) in ((0, *range(4, most + 1)) if plan.decodes else range(64, most + 1))
        if plan.tokens:
            break
        machine.observe(1, 0, 0, 1e6)
    else:
        raise AssertionError("no prefill ever")
