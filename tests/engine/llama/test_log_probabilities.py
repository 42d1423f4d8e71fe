"""Log-probabilities: the model's own, against double precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ponant.engine.base import Sampling
from ponant.engine.llama.sampling import Row, Sampler, log_probabilities
from tests.engine.llama.drawing import Doubles, Floats, sequence


def reference_log_probabilities(logits: Floats) -> Doubles:
    values = logits.astype(np.float64)
    logprobs: Doubles = values - values.max() - np.log(np.exp(values - values.max()).sum())
    return logprobs


@settings(deadline=None)
@given(
    logits=hnp.arrays(np.float32, st.integers(1, 400), elements=st.floats(-60, 60, width=32)),
    top=st.integers(0, 20) | st.just(1000),
    data=st.data(),
)
def test_log_probabilities_are_those_of_the_softmax(logits: Floats, top: int, data: st.DataObject) -> None:
    expected = reference_log_probabilities(logits)
    token = data.draw(st.integers(0, len(logits) - 1))
    told = log_probabilities(logits.copy(), token, top)
    assert told.logprob == pytest.approx(expected[token], abs=1e-5)
    likeliest = [other for other, _ in told.top]
    assert len(set(likeliest)) == len(likeliest) == min(top, len(logits))
    assert [logprob for _, logprob in told.top] == pytest.approx(np.sort(expected)[::-1][:top].tolist(), abs=1e-5)
    assert [logprob for _, logprob in told.top] == pytest.approx([expected[other] for other in likeliest], abs=1e-5)
    ranks = [(-logits[other], other) for other in likeliest]
    assert ranks == sorted(ranks), "of equally likely ones those that come first in the vocabulary go first"


def test_all_equally_likely_tokens_have_the_same_log_probability() -> None:
    told = log_probabilities(np.full(8, 3, dtype=np.float32), 5, 8)
    assert told.logprob == pytest.approx(-np.log(8))
    assert [token for token, _ in told.top] == list(range(8))
    assert {logprob for _, logprob in told.top} == {told.logprob}


def test_log_probabilities_of_a_large_vocabulary_are_exact() -> None:
    logits = np.random.default_rng(4).normal(0, 0.01, 150_000).astype(np.float32)
    told = log_probabilities(logits, 12, 20)
    assert told.logprob == pytest.approx(reference_log_probabilities(logits)[12], abs=1e-5)


def test_log_probabilities_with_impossible_tokens_are_those_of_the_others() -> None:
    logits = np.array([-np.inf, 1, 0, -np.inf], dtype=np.float32)
    told = log_probabilities(logits, 1, 2)
    assert told.logprob == pytest.approx(-np.log1p(np.exp(-1)))
    assert [token for token, _ in told.top] == [1, 2]


@pytest.mark.parametrize("temperature", [0.0, 1.4])
@pytest.mark.parametrize("top", [None, 0, 3])
def test_log_probabilities_are_the_models_own(temperature: float, top: int | None) -> None:
    """They precede penalties, temperature, truncation, and the exclusion of early ends."""
    logits = np.array([[5.0, 2.0, 4.0, 1.0, 0.0]], dtype=np.float32)
    sampling = Sampling(temperature=temperature, presence_penalty=100, top_k=1, repetition_penalty=1.5)
    drawing = sequence(sampling, generated=[2, 2], min_tokens=10)
    drawing.top_logprobs = top
    expected = reference_log_probabilities(logits[0])
    (draw,) = Sampler(5, [0]).sample(logits, [Row(drawing)])
    assert draw
    assert draw.token == 1
    if top is None:
        assert draw.logprobs is None
    else:
        assert draw.logprobs
        assert draw.logprobs.logprob == pytest.approx(expected[1], abs=1e-6)
        assert [token for token, _ in draw.logprobs.top] == [0, 2, 1][:top]
        assert [logprob for _, logprob in draw.logprobs.top] == pytest.approx(expected[[0, 2, 1][:top]], abs=1e-6)
