"""Costs of steps by their number of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.llama.step_costs import USUAL_COSTS, RowCosts


def costs(*steps: tuple[int, float]) -> RowCosts:
    made = RowCosts()
    for rows, seconds in steps:
        made.observe(rows, seconds)
    return made


def seconds_of(made: RowCosts, most_rows: int) -> list[float]:
    seconds = made.seconds(most_rows)
    assert seconds is not None
    values: list[float] = seconds.tolist()
    return values


def test_nothing_is_told_before_anything_is_known() -> None:
    assert RowCosts().seconds(10) is None


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
