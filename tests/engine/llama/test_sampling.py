"""Sampling, compared with the exact distribution and with each rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ponant.engine.base import Sampling
from ponant.engine.llama.sampling import Row, Sampler
from ponant.engine.llama.sequence import UNIFORMS_PER_TOKEN, Sequence
from tests.engine.llama.drawing import NO_END, Doubles, Floats, sequence
from tests.soak import examples, some


def tokens_of(sampler: Sampler, logits: Floats, sequences: list[Sequence]) -> list[int | None]:
    """Draw one token for each sequence."""
    draws = sampler.sample(logits, [Row(one) for one in sequences])
    return [draw.token if draw else None for draw in draws]


def logits_of(kind: str, size: int) -> Floats:
    random = np.random.default_rng(size)
    match kind:
        case "flat":
            logits = random.normal(0, 0.01, size)
        case "peaked":
            logits = random.normal(0, 5, size)
        case "alike":
            logits = random.normal(0, 1.5, size)
            logits[size // 2 :] -= 30
        case _:
            logits = random.normal(0, 2, size)
    return logits.astype(np.float32)


def exact_distribution(logits: Floats, sampling: Sampling) -> Doubles:
    """Return the exact distribution: temperature, ``top_k``, ``top_p`` in double precision."""
    scaled = logits.astype(np.float64) / sampling.temperature
    weights = np.exp(scaled - scaled.max())
    order = np.argsort(-weights, kind="stable")
    if sampling.top_k:
        order = order[: sampling.top_k]
    probabilities = weights[order] / weights[order].sum()
    if sampling.top_p < 1:
        count = int((np.cumsum(probabilities) < sampling.top_p).sum()) + 1
        order, probabilities = order[:count], probabilities[:count]
    distribution = np.zeros(len(logits))
    distribution[order] = probabilities / probabilities.sum()
    return distribution


def draws_of(logits: Floats, sampling: Sampling, count: int, *, seed: int = 7) -> NDArray[np.int64]:
    """Return the counts of tokens in ``count`` draws of many sequences, each at many positions."""
    assert not sampling.penalizes, "then it would matter which tokens were drafted"
    sampler = Sampler(len(logits), NO_END)
    counts = np.zeros(len(logits), dtype=np.int64)
    at_once = max(1, min(1000, 1_000_000 // len(logits)))
    for first in range(0, count, at_once):
        drawing = sequence(sampling, seed=seed + first // 1000)
        rows = [Row(drawing, range(first % 1000 + index)) for index in range(min(at_once, count - first))]
        draws = sampler.sample(np.tile(logits, (len(rows), 1)), rows)
        np.add.at(counts, [draw.token for draw in draws if draw], 1)
    return counts


def chi_square_deviation(counts: NDArray[np.int64], distribution: Doubles) -> float:
    """Return the deviation of the chi-square statistic in standard deviations (Wilson-Hilferty)."""
    expected = distribution * counts.sum()
    order = np.argsort(expected)
    bins = np.minimum(np.cumsum(expected[order]) // 20, 10**9).astype(np.int64)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    wanted = np.add.reduceat(expected[order], starts)
    seen = np.add.reduceat(counts[order], starts)
    usable = wanted > 0
    statistic = float((((seen - wanted) ** 2)[usable] / wanted[usable]).sum())
    freedom = int(usable.sum()) - 1
    spread = 2 / (9 * freedom)
    return float(((statistic / freedom) ** (1 / 3) - (1 - spread)) / spread**0.5)


@pytest.mark.parametrize(
    ("kind", "size", "sampling"),
    some(
        [
            ("normal", 1000, Sampling(temperature=1.5)),
            ("normal", 1000, Sampling(temperature=0.7)),
            ("normal", 1, Sampling(temperature=1.0)),
            ("normal", 255, Sampling(temperature=1.5)),
            ("normal", 256, Sampling(temperature=1.5)),
            ("normal", 257, Sampling(temperature=1.5)),
            ("normal", 4999, Sampling(temperature=1.5)),
            ("flat", 1025, Sampling(temperature=1.5)),
            ("flat", 1025, Sampling(temperature=0.7, top_p=0.5)),
            ("flat", 1025, Sampling(temperature=0.7, top_k=900)),
            ("peaked", 700, Sampling(temperature=1.5)),
            ("peaked", 700, Sampling(temperature=0.7)),
            ("peaked", 700, Sampling(temperature=1.0, top_p=0.999)),
            ("alike", 600, Sampling(temperature=1.0)),
            ("normal", 1000, Sampling(temperature=1.0, top_p=0.9)),
            ("normal", 1000, Sampling(temperature=1.5, top_p=0.99999)),
            ("normal", 1000, Sampling(temperature=0.7, top_p=0.3)),
            ("normal", 1000, Sampling(temperature=1.0, top_k=40)),
            ("normal", 1000, Sampling(temperature=1.5, top_k=2)),
            ("normal", 1000, Sampling(temperature=1.0, top_k=5000)),
            ("normal", 1000, Sampling(temperature=1.2, top_k=50, top_p=0.8)),
            ("peaked", 700, Sampling(temperature=1.5, top_k=300, top_p=0.95)),
        ],
        *range(0, 22, 2),
        17,
        21,
    ),
)
def test_draws_follow_the_exact_distribution(kind: str, size: int, sampling: Sampling) -> None:
    logits = logits_of(kind, size)
    distribution = exact_distribution(logits, sampling)
    truncates = sampling.top_k or sampling.top_p < 1
    draws = 6_000 if truncates else 10_000
    counts = draws_of(logits, sampling, draws)
    assert counts.sum() == draws
    assert counts[distribution == 0].sum() == 0
    if (distribution > 0).sum() > 1:
        assert chi_square_deviation(counts, distribution) < 3.5


def test_wrong_distribution_would_be_noticed() -> None:
    logits = logits_of("normal", 1000)
    counts = draws_of(logits, Sampling(temperature=1.4), 30_000)
    assert chi_square_deviation(counts, exact_distribution(logits, Sampling(temperature=1.5))) > 3.5


def logits_with_a_heavy_rest(temperature: float) -> Floats:
    """Return logits of a realistic size, where every seventh draw is a token outside of any shortlist."""
    random = np.random.default_rng(1)
    scaled = random.uniform(-15.0, -11.0, 50_000)
    scaled[random.choice(50_000, 300, replace=False)] = random.uniform(-10.8, -6.0, 300)
    scaled[[7, 49_999]] = 0.0, -2.0
    return (scaled * temperature + 3).astype(np.float32)


@pytest.mark.parametrize("temperature", some([0.2, 1.5], 1))
def test_draws_that_no_shortlist_has_are_as_likely_as_they_should_be(temperature: float) -> None:
    logits = logits_with_a_heavy_rest(temperature)
    distribution = exact_distribution(logits, Sampling(temperature=temperature))
    rest = logits < 3 - 10.9 * temperature
    assert 0.12 < distribution[rest].sum() < 0.16
    counts = draws_of(logits, Sampling(temperature=temperature), 30_000)
    assert chi_square_deviation(counts, distribution) < 3.5
    assert abs(counts[rest].sum() / 30_000 - distribution[rest].sum()) < 0.007  # 3.5 standard deviations
    # A third more probability for each of them would fail.
    distribution[rest] *= 0.75
    assert chi_square_deviation(counts, distribution / distribution.sum()) > 3.5


def test_draw_is_exact_when_every_attempt_with_a_shortlist_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = logits_with_a_heavy_rest(1.0)
    failing, uniforms = 0.999_999_999, Sequence.uniforms

    def last_two(drawing: Sequence, index: int) -> Doubles:
        return np.array([failing] * (UNIFORMS_PER_TOKEN - 2) + uniforms(drawing, index)[-2:].tolist())

    monkeypatch.setattr(Sequence, "uniforms", last_two)
    counts = draws_of(logits, Sampling(temperature=1.0), 10_000)
    assert chi_square_deviation(counts, exact_distribution(logits, Sampling(temperature=1.0))) < 3.5


@pytest.mark.parametrize(
    ("temperature", "spread"), some([(1.5, 1.0), (0.7, 2.5), (1.2, 3.5), (0.7, 3.5), (1.0, 4.0)], 0, 3)
)
def test_draws_from_a_large_vocabulary_follow_the_exact_distribution(temperature: float, spread: float) -> None:
    logits = np.random.default_rng(2).normal(0, spread, 49_152).astype(np.float32)
    distribution = exact_distribution(logits, Sampling(temperature=temperature))
    assert chi_square_deviation(draws_of(logits, Sampling(temperature=temperature), 10_000), distribution) < 3.5


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0),
        Sampling(temperature=0, top_p=0.5, top_k=40),
        Sampling(top_p=0),
        Sampling(temperature=1.5, top_p=1e-9),
        Sampling(temperature=1.5, top_k=1),
        Sampling(temperature=1e-12),
    ],
)
def test_most_likely_token_is_taken(sampling: Sampling) -> None:
    random = np.random.default_rng(3)
    logits = random.normal(0, 1, (50, 300)).astype(np.float32)
    expected = logits.argmax(axis=1).tolist()
    assert tokens_of(Sampler(300, NO_END), logits, [sequence(sampling, seed=seed) for seed in range(50)]) == expected


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("largest", [20.0, 262145.0, -262145.0, 3e38])
@pytest.mark.parametrize("temperature", [1e-9, 1e-3, 1.0])
def test_logits_too_large_for_the_temperature_to_tell_apart_are_drawn_too(largest: float, temperature: float) -> None:
    logits = np.full(1000, largest - abs(largest) / 2, dtype=np.float32)
    logits[17] = largest
    assert draws_of(logits, Sampling(temperature=temperature), 50)[17] >= 1


def test_of_equally_likely_tokens_top_k_keeps_the_first() -> None:
    logits = np.zeros(300, dtype=np.float32)
    counts = draws_of(logits, Sampling(top_k=3), 300)
    assert np.flatnonzero(counts).tolist() == [0, 1, 2]


def penalized(logits: list[float], sampling: Sampling, generated: list[int], prompt: list[int]) -> list[float]:
    """Return the logits from which a token is chosen."""
    row = np.array([logits], dtype=np.float32)
    tokens_of(Sampler(len(logits), NO_END), row, [sequence(sampling, prompt=prompt, generated=generated)])
    return [round(float(value), 4) for value in row[0]]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [2.0, -2.0, 1.0, 0.0]),
        (Sampling(repetition_penalty=2.0), [1.0, -4.0, 1.0, 0.0]),
        (Sampling(repetition_penalty=0.5), [4.0, -1.0, 1.0, 0.0]),
        (Sampling(presence_penalty=0.5), [1.5, -2.5, 1.0, 0.0]),
        (Sampling(presence_penalty=-0.5), [2.5, -1.5, 1.0, 0.0]),
        (Sampling(frequency_penalty=0.5), [0.5, -2.5, 1.0, 0.0]),
        (
            Sampling(temperature=0, repetition_penalty=2.0, presence_penalty=1.0, frequency_penalty=0.25),
            [-0.75, -5.25, 1.0, 0.0],
        ),
    ],
)
def test_penalties_concern_generated_tokens_and_not_the_prompt(sampling: Sampling, expected: list[float]) -> None:
    generated = [0, 1, 0, 0]  # the first token three times, the second once
    assert penalized([2.0, -2.0, 1.0, 0.0], sampling, generated, prompt=[2, 2, 3]) == expected


def test_penalties_leave_other_rows_alone() -> None:
    logits = np.ones((3, 10), dtype=np.float32)
    penalty = Sampling(presence_penalty=2)
    tokens_of(Sampler(10, NO_END), logits, [sequence(), sequence(penalty, generated=[4]), sequence(penalty)])
    assert np.argwhere(logits != 1).tolist() == [[1, 4]]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_end_is_held_back_until_there_are_min_tokens(temperature: float) -> None:
    sampler = Sampler(10, [3, 7])

    def drawn(generated: int) -> int | None:
        logits = np.zeros((1, 10), dtype=np.float32)
        logits[0, [3, 7]] = 60, 50
        logits[0, 5] = 40
        drawing = sequence(Sampling(temperature=temperature), generated=[1] * generated, min_tokens=3)
        return tokens_of(sampler, logits, [drawing])[0]

    assert [drawn(generated) for generated in range(5)] == [5, 5, 5, 3, 3]


@pytest.mark.parametrize("unusable", [np.nan, -np.inf, np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_unusable_rows_give_none_and_leave_the_others_as_they_are(unusable: float, temperature: float) -> None:
    sampling = Sampling(temperature=temperature)
    good = logits_of("normal", 600)
    bad = np.full(600, unusable, dtype=np.float32)
    partly = good.copy()
    partly[17] = np.nan
    rows = np.array([bad, good, partly, good, bad])
    sampler = Sampler(600, NO_END)
    expected = tokens_of(sampler, np.array([good, good]), [sequence(sampling, seed=seed) for seed in (1, 3)])
    tokens = tokens_of(sampler, rows, [sequence(sampling, seed=seed) for seed in range(5)])
    assert tokens == [None, expected[0], None, expected[1], None]


def test_one_infinite_logit_makes_a_row_unusable() -> None:
    logits = logits_of("normal", 20)
    logits[4] = np.inf
    assert tokens_of(Sampler(20, NO_END), logits[None], [sequence()]) == [None]


def test_nothing_but_the_end_that_is_held_back_gives_none() -> None:
    logits = np.full((1, 10), -np.inf, dtype=np.float32)
    logits[0, 3] = 1
    assert tokens_of(Sampler(10, [3]), logits, [sequence(min_tokens=1)]) == [None]


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 1e-3, 0.3, 1.0, 1.5]),
    top_p=st.sampled_from([0.0, 0.01, 0.5, 0.999, 1.0]),
    top_k=st.sampled_from([0, 1, 2, 40, 10_000]),
    repetition_penalty=st.sampled_from([1.0, 0.5, 1.3]),
    presence_penalty=st.sampled_from([0.0, -2.0, 2.0]),
    frequency_penalty=st.sampled_from([0.0, -2.0, 2.0]),
)


@settings(deadline=None)
@given(
    size=st.sampled_from([1, 255, 256, 257, 700]),
    asked=st.lists(st.tuples(samplings, st.integers(0, 2**64 - 1)), min_size=2, max_size=9),
    data=st.data(),
)
def test_draw_does_not_depend_on_the_other_rows(
    size: int, asked: list[tuple[Sampling, int]], data: st.DataObject
) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    logits = random.normal(0, 3, (len(asked), size)).astype(np.float32)
    generated = random.integers(0, size, 5).tolist()
    sampler = Sampler(size, NO_END)

    def sequences() -> list[Sequence]:
        return [sequence(sampling, seed=seed, generated=generated) for sampling, seed in asked]

    alone = [tokens_of(sampler, row[None].copy(), [one])[0] for row, one in zip(logits, sequences(), strict=True)]
    order = data.draw(st.permutations(range(len(asked))))
    mixed = sequences()
    together = tokens_of(sampler, logits[order], [mixed[index] for index in order])
    assert together == [alone[index] for index in order]


@settings(deadline=None)
@given(
    logits=hnp.arrays(np.float32, st.integers(1, 600), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    sampling=samplings,
    seed=st.integers(0, 2**32),
    data=st.data(),
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_masked_tokens_are_never_drawn(logits: Floats, sampling: Sampling, seed: int, data: st.DataObject) -> None:
    allowed = data.draw(st.sets(st.integers(0, len(logits) - 1), min_size=1))
    masked = np.full_like(logits, -np.inf)
    masked[list(allowed)] = logits[list(allowed)]
    rows = np.tile(masked, (20, 1))
    drawing = [sequence(sampling, seed=seed + index) for index in range(20)]
    assert set(tokens_of(Sampler(len(logits), NO_END), rows, drawing)) <= allowed


@pytest.mark.parametrize("extreme", [0.0, np.nextafter(1.0, 0.0)])
@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(temperature=0.1), Sampling(top_k=7), Sampling(top_p=0.9), Sampling(temperature=8)]
)
def test_extreme_random_numbers_land_on_allowed_tokens(
    extreme: float, sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sequence, "uniforms", lambda *_: np.full(UNIFORMS_PER_TOKEN, extreme))
    logits = np.full(1000, -np.inf, dtype=np.float32)
    logits[300:310] = np.linspace(-20, 3, 10)
    (token,) = tokens_of(Sampler(1000, NO_END), logits[None], [sequence(sampling)])
    assert token is not None
    assert 300 <= token < 310


def test_random_numbers_depend_on_seed_and_position_alone() -> None:
    first, again, other = sequence(seed=5), sequence(seed=5, prompt=[1, 2, 3]), sequence(seed=6)
    numbers = [tuple(first.uniforms(index)) for index in range(200)]
    assert [tuple(again.uniforms(index)) for index in reversed(range(200))] == numbers[::-1]
    everything = [*numbers, *(tuple(other.uniforms(index)) for index in range(200))]
    assert len({number for one in everything for number in one}) == UNIFORMS_PER_TOKEN * 400
    assert all(0 <= number < 1 for one in everything for number in one)


@settings(deadline=None, max_examples=examples(200))
@given(
    size=st.sampled_from([3, 40, 700]),
    generated=st.lists(st.integers(0, 699), max_size=5),
    drafted=st.lists(st.integers(0, 699), max_size=5),
    sampling=samplings,
    seed=st.integers(0, 2**32),
    min_tokens=st.integers(0, 8),
    top=st.none() | st.integers(0, 5),
)
def test_row_after_a_draft_is_drawn_as_if_the_draft_had_been_appended(
    size: int,
    generated: list[int],
    drafted: list[int],
    sampling: Sampling,
    seed: int,
    min_tokens: int,
    top: int | None,
) -> None:
    generated, drafted = [token % size for token in generated], [token % size for token in drafted]
    sampler = Sampler(size, [0, 2])
    logits = np.random.default_rng(seed).normal(0, 2, (len(drafted) + 1, size)).astype(np.float32)

    def drawing(tokens: list[int]) -> Sequence:
        made = sequence(sampling, seed=seed, generated=tokens, min_tokens=min_tokens)
        made.top_logprobs = top
        return made

    supposed, appended = logits.copy(), logits.copy()
    one = drawing(generated)
    together = sampler.sample(supposed, [Row(one, drafted[:index]) for index in range(len(drafted) + 1)])
    one_by_one = [
        sampler.sample(appended[index : index + 1], [Row(drawing([*generated, *drafted[:index]]))])[0]
        for index in range(len(drafted) + 1)
    ]
    assert together == one_by_one
    assert np.array_equal(supposed, appended)
    # Draft tokens leave no counts.
    again = logits[:1].copy()
    assert sampler.sample(again, [Row(one)]) == together[:1]
    assert one.generated == len(generated)
