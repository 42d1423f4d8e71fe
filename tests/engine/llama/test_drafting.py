"""Drafts: their source, their estimated acceptance, and their length."""

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.llama.drafting import MOST_DRAFTED, Drafter, DraftText, Follower, choose_lengths
from ponant.engine.llama.step_costs import USUAL_COSTS

TEXT = list(range(100, 200))


def follower(text: list[int], *, expected: bool = True) -> Follower:
    return Follower(DraftText(text), expected=expected)


def follow(made: Follower, completion: list[int], *, start: int = 0) -> None:
    """Give a follower the tokens of a completion from ``start`` on, one by one."""
    for end in range(start + 1, len(completion) + 1):
        made.observe(completion[max(0, end - 3) : end])


def test_perfect_text_is_followed_to_its_end() -> None:
    made = follower(TEXT)
    for end in range(len(TEXT)):
        assert made.guess(5) == TEXT[end : end + 5]
        made.observe(TEXT[max(0, end - 2) : end + 1])
    assert made.guess(5) == []
    assert made.trust > 0.97


def test_guess_has_no_more_tokens_than_asked_for() -> None:
    assert [len(follower(TEXT).guess(count)) for count in (0, 1, 7, 1000)] == [0, 1, 7, len(TEXT)]


def test_text_that_is_not_expected_is_found_after_three_equal_tokens() -> None:
    made = follower(TEXT, expected=False)
    guesses = []
    for end in range(41, 45):
        made.observe(TEXT[40:end])
        guesses.append(made.guess(2))
    assert guesses == [[], [], [143, 144], [144, 145]]


@pytest.mark.parametrize("text", [[], [1], [1, 2, 3]])
def test_text_that_is_too_short_to_be_found_gives_nothing(text: list[int]) -> None:
    made = follower(text, expected=False)
    follow(made, [1, 2, 3, 1, 2, 3])
    assert made.guess(10) == []


@given(
    place=st.integers(4, 90),
    removed=st.integers(0, 5),
    inserted=st.integers(0, 5),
)
def test_place_is_found_again_after_an_edit(place: int, removed: int, inserted: int) -> None:
    edited = [*TEXT[:place], *range(900, 900 + inserted), *TEXT[place + removed :]]
    made = follower(TEXT)
    after = place + inserted + 3
    follow(made, edited[:after])
    assert made.guess(100) == edited[after:]


def test_place_that_is_found_again_is_the_next_of_several() -> None:
    block = list(range(1, 9))
    text = [token for number in range(10) for token in [*block, 100 + number]]
    start = 5 * 9
    made = follower(text)
    follow(made, [*text[: start + 1], 99, *text[start + 2 : start + 5]])
    assert made.guess(4) == [6, 7, 8, 105]


def test_place_before_is_found_if_there_is_none_after() -> None:
    made = follower(TEXT)
    follow(made, [*TEXT[:60], *TEXT[10:13]])
    assert made.guess(2) == [113, 114]


@pytest.mark.parametrize("expected", [False, True])
def test_trust_rises_with_right_guesses_and_falls_with_wrong_ones(expected: bool) -> None:
    made = follower(TEXT, expected=expected)
    follow(made, TEXT[:3])
    for end in range(4, 50):
        before = made.trust
        follow(made, TEXT[:end], start=end - 1)
        assert made.trust > before
    before = made.trust
    assert before > 0.9
    made.observe([TEXT[47], TEXT[48], 999])
    assert made.trust < before


def test_trust_in_a_text_that_is_not_expected_is_lost_as_often_as_it_is_wrong() -> None:
    made = follower(TEXT, expected=False)
    for number in range(40):
        made.observe(TEXT[number : number + 3])  # found
        made.observe([*TEXT[number + 1 : number + 3], 999])
    assert made.trust < 0.1


def test_trust_does_not_change_while_nothing_is_guessed() -> None:
    made = follower(TEXT, expected=False)
    before = made.trust
    follow(made, [1, 2, 3] * 10)
    assert made.trust == before


@given(st.booleans(), st.lists(st.integers(1, 3), max_size=60), st.lists(st.integers(1, 3), min_size=1, max_size=60))
def test_trust_is_a_probability(expected: bool, text: list[int], completion: list[int]) -> None:
    made = follower(text, expected=expected)
    for end in range(1, len(completion) + 1):
        made.observe(completion[max(0, end - 3) : end])
        assert 0 <= made.trust <= 1
        guess = made.guess(5)
        assert len(guess) <= 5
        assert not guess or any(text[start : start + len(guess)] == guess for start in range(len(text)))


def drafter(prompt: list[int], prediction: list[int] | None = None) -> Drafter:
    return Drafter(DraftText(prompt), None if prediction is None else DraftText(prediction))


def drafted_tokens(made: Drafter, completion: list[int]) -> tuple[int, int, int]:
    """Return the numbers of drafted tokens, of accepted ones, and of steps, at usual costs of rows."""
    costs = USUAL_COSTS.seconds(64)
    assert costs is not None
    drafted = right = steps = position = 0
    while position < len(completion):
        guess, trust = made.draft(len(completion) - position - 1)
        (length,) = choose_lengths([(len(guess), trust)], 1, costs)
        drafted += length
        steps += 1
        for index in range(length + 1):
            token = completion[position]
            made.observe(token)
            position += 1
            if index == length or token != guess[index]:
                break
            right += 1
    return drafted, right, steps


def test_prediction_is_drafted_from_the_first_token_on() -> None:
    guess, trust = drafter([1, 2, 3], TEXT).draft(10)
    assert guess == TEXT[:10]
    assert trust == pytest.approx(0.9)


@pytest.mark.parametrize("prediction", [None, []])
def test_without_prediction_the_prompt_is_drafted_once_it_is_repeated(prediction: list[int] | None) -> None:
    made = drafter(TEXT, prediction)
    assert made.draft(10)[0] == []
    for token in TEXT[20:23]:
        made.observe(token)
    assert made.draft(4)[0] == TEXT[23:27]


def test_prompt_that_repeats_itself_is_drafted_from_the_end_of_the_prompt_on() -> None:
    made = drafter([*TEXT, 108, 109])
    made.observe(110)
    assert made.draft(3)[0] == [111, 112, 113]


def test_draft_has_no_more_tokens_than_are_of_use() -> None:
    made = drafter([1], list(range(1000)))
    assert [len(made.draft(limit)[0]) for limit in (0, 1, 1000)] == [0, 1, MOST_DRAFTED]


def test_perfect_prediction_takes_a_tenth_of_the_steps() -> None:
    completion = list(range(500))
    drafted, right, steps = drafted_tokens(drafter([1, 2, 3], completion), completion)
    assert drafted == right == 500 - steps
    assert steps < 50


def test_prediction_with_one_wrong_line_costs_little_more_than_a_perfect_one() -> None:
    completion = list(range(500))
    prediction = [*completion[:200], *range(1000, 1010), *completion[215:]]
    _, right, steps = drafted_tokens(drafter([1, 2, 3], prediction), completion)
    assert right > 400
    assert steps < 85


@pytest.mark.parametrize(
    ("alphabet", "predicted"), [(3, False), (10, False), (1000, False), (3, True), (10, True), (30, True), (1000, True)]
)
def test_useless_texts_cost_less_than_a_tenth(alphabet: int, predicted: bool) -> None:
    chance = random.Random(alphabet)
    prompt, prediction, completion = ([chance.randrange(alphabet) for _ in range(1000)] for _ in range(3))
    drafted, right, steps = drafted_tokens(drafter(prompt, prediction if predicted else None), completion)
    assert right + steps == len(completion)
    assert steps + 0.4 * drafted < 1.1 * len(completion)  # as USUAL_COSTS have it: a row more costs 0.4 of a step


def test_prediction_that_is_as_good_as_the_prompt_is_preferred() -> None:
    prompt, prediction = [1, 2, 3, 4, 5, 6], [1, 2, 3, 7, 8, 9]
    made = drafter(prompt, prediction)
    for token in (1, 2, 3):
        made.observe(token)
    assert made.draft(2)[0] == [7, 8]
    made.settle(1, 1)
    assert (made.accepted, made.rejected) == (1, 1)


def test_prompt_that_is_better_than_the_prediction_is_drafted_and_not_counted() -> None:
    prompt = list(range(100))
    prediction = [number if number % 4 else 999 for number in range(100)]
    made = drafter(prompt, prediction)
    for token in prompt[:67]:
        made.observe(token)
    assert prediction[67:70] == [67, 999, 69]
    assert made.draft(3)[0] == [67, 68, 69]
    made.settle(3, 0)
    assert (made.accepted, made.rejected) == (0, 0)


def test_trust_in_a_prediction_that_agrees_with_the_prompt_is_that_of_the_better_one() -> None:
    prompt = list(range(100))
    made = drafter(prompt, [*range(500, 520), *prompt[30:]])
    for token in prompt[:60]:
        made.observe(token)
    guess, trust = made.draft(4)
    assert guess == prompt[60:64]
    follower_of_prompt = follower(prompt, expected=False)
    follow(follower_of_prompt, prompt[:60])
    assert trust >= follower_of_prompt.trust


def tokens_per_second(
    drafts: Sequence[tuple[int, float]], chosen: Sequence[int], rows: int, seconds: Sequence[float]
) -> float:
    """Return the expected tokens per second: one per row, and one per draft token if it and all before are right."""
    gained = sum(
        trust**depth for (_, trust), length in zip(drafts, chosen, strict=True) for depth in range(1, length + 1)
    )
    return (rows + gained) / seconds[rows + sum(chosen) - 1]


trusts = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]) | st.floats(1e-3, 1)


@st.composite
def choices_of_lengths(draw: st.DrawFn) -> tuple[list[tuple[int, float]], int, list[float]]:
    drafts = draw(st.lists(st.tuples(st.integers(0, 4), trusts), min_size=1, max_size=4))
    rows = draw(st.integers(len(drafts), 6))
    costs = st.floats(1e-3, 10) | st.sampled_from([1.0, 2.0])
    return drafts, rows, draw(st.lists(costs, min_size=rows, max_size=rows + 10))


@given(choices_of_lengths())
def test_chosen_lengths_give_the_most_tokens_per_second(
    choice: tuple[list[tuple[int, float]], int, list[float]],
) -> None:
    drafts, rows, seconds = choice
    chosen = choose_lengths(drafts, rows, np.array(seconds))
    assert all(0 <= length <= longest for length, (longest, _) in zip(chosen, drafts, strict=True))
    assert rows + sum(chosen) <= len(seconds)
    best = max(
        tokens_per_second(drafts, lengths, rows, seconds)
        for lengths in itertools.product(*(range(longest + 1 if trust else 1) for longest, trust in drafts))
        if rows + sum(lengths) <= len(seconds)
    )
    assert tokens_per_second(drafts, chosen, rows, seconds) == pytest.approx(best, rel=1e-9)


def test_of_equal_drafts_some_are_left_out_and_never_better_ones() -> None:
    drafts = [(1, 0.9), (1, 0.5), (1, 0.5)]
    assert sorted(choose_lengths(drafts, 3, np.ones(5))[1:]) == [0, 1]
    assert choose_lengths(drafts, 3, np.ones(5))[0] == 1


@given(
    st.lists(st.tuples(st.integers(0, MOST_DRAFTED), trusts), max_size=16),
    st.integers(1, 16),
    st.integers(0, 80),
)
def test_no_more_rows_are_taken_than_costs_are_given_for(drafts: list[tuple[int, float]], rows: int, room: int) -> None:
    chosen = choose_lengths(drafts, rows, np.ones(rows + room))
    possible = sum(length for length, trust in drafts if trust > 0)
    assert sum(chosen) <= min(room, possible)
    assert all(length == 0 for length, (_, trust) in zip(chosen, drafts, strict=True) if trust == 0)


def test_nothing_to_guess_gives_nothing() -> None:
    assert choose_lengths([], 3, np.ones(10)) == []
    assert choose_lengths([(0, 0.9), (0, 0.0)], 2, np.ones(10)) == [0, 0]
