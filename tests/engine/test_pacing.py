"""How much prefill is allowed beside running completions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.pacing import Pacer


def learned(*steps: tuple[int, int, float], most: int = 512) -> Pacer:
    pacer = Pacer(most)
    for decoded, prefilled, seconds in steps:
        pacer.observe(decoded, prefilled, seconds)
    return pacer


def test_nothing_runs_so_nothing_is_held_back() -> None:
    assert Pacer(512).prefill_tokens(0) == 512
    assert learned((4, 0, 0.001), (0, 100, 10.0)).prefill_tokens(0) == 512


@pytest.mark.parametrize("most", [16, 512])
def test_first_guess_is_small(most: int) -> None:
    assert Pacer(most).prefill_tokens(3) == min(64, most)


def test_step_with_prefill_takes_about_twice_as_long_as_one_without() -> None:
    pacer = learned((8, 0, 0.020), (0, 100, 0.1))
    assert pacer.prefill_tokens(8) == pytest.approx(20, abs=1)


def test_cost_of_prefill_is_told_apart_from_the_decoding_beside_it() -> None:
    alone = learned((8, 0, 0.020), (0, 50, 0.05))
    beside = learned((8, 0, 0.020), (8, 50, 0.07))
    assert beside.prefill_tokens(8) == pytest.approx(alone.prefill_tokens(8), abs=1)


def test_prefill_never_stops_however_dear_it_is() -> None:
    assert learned((1, 0, 0.001), (0, 10, 100.0)).prefill_tokens(1) == 8


def test_prefill_never_exceeds_the_batch_however_cheap_it_is() -> None:
    assert learned((1, 0, 10.0), (0, 500, 0.001), most=100).prefill_tokens(1) == 100


def test_one_slow_step_changes_little_and_many_change_all() -> None:
    steps = [(8, 0, 0.02), (0, 100, 0.1)] * 20
    before = learned(*steps).prefill_tokens(8)
    assert learned(*steps, (8, 0, 0.04)).prefill_tokens(8) <= before * 1.3
    assert learned(*steps, *[(8, 0, 0.04)] * 50).prefill_tokens(8) == pytest.approx(2 * before, rel=0.1)


@given(
    steps=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 512), st.floats(0, 1e6))),
    decoding=st.integers(0, 20),
    most=st.integers(8, 2048),
)
def test_any_observations_give_a_possible_size(steps: list[tuple[int, int, float]], decoding: int, most: int) -> None:
    assert 8 <= learned(*steps, most=most).prefill_tokens(decoding) <= most
