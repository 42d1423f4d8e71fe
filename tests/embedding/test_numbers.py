"""Number formats of embeddings, for arbitrary vectors."""

import base64
import json
import math
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from ponant.api.embeddings import EmbeddingDtype
from ponant.embedding.numbers import quantized, shortened, written

DTYPES: tuple[EmbeddingDtype, ...] = get_args(EmbeddingDtype)

NUMBERS = st.floats(-1, 1, width=32)
VECTORS = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40), elements=NUMBERS)


@given(vectors=VECTORS, dtype=st.sampled_from(DTYPES))
def test_base64_says_the_same_as_lists(vectors: NDArray[np.float32], dtype: EmbeddingDtype) -> None:
    numbers = quantized(vectors, dtype)
    lists = json.loads(json.dumps(written(numbers, "float"), allow_nan=False))
    rows = [np.frombuffer(base64.b64decode(text), dtype=numbers.dtype) for text in map(str, written(numbers, "base64"))]
    assert [row.tolist() for row in rows] == lists


@given(VECTORS)
def test_signed_and_unsigned_numbers_differ_by_128(vectors: NDArray[np.float32]) -> None:
    for signed, unsigned in (("int8", "uint8"), ("binary", "ubinary")):
        low: NDArray[Any] = quantized(vectors, signed).astype(int)  # type: ignore[arg-type]
        high: NDArray[Any] = quantized(vectors, unsigned).astype(int)  # type: ignore[arg-type]
        assert np.array_equal(low + 128, high)
        assert low.min() >= -128
        assert high.max() <= 255


@given(VECTORS)
def test_bits_are_the_signs(vectors: NDArray[np.float32]) -> None:
    packed = quantized(vectors, "ubinary")
    assert packed.shape == (len(vectors), math.ceil(vectors.shape[1] / 8))
    bits = np.unpackbits(packed.astype(np.uint8), axis=1)
    assert np.array_equal(bits[:, : vectors.shape[1]], vectors > 0)
    assert not bits[:, vectors.shape[1] :].any()


@given(VECTORS)
def test_int8_is_within_half_a_step_where_it_does_not_end(vectors: NDArray[np.float32]) -> None:
    step = 4 / (127 * math.sqrt(vectors.shape[1]))
    restored = quantized(vectors, "int8").astype(np.float64) * step
    inside = np.abs(vectors) < 127 * step
    assert np.all(np.abs(restored - vectors)[inside] <= 0.5001 * step)
    assert np.array_equal(np.sign(restored[~inside]), np.sign(vectors[~inside]))


@given(vectors=VECTORS, data=st.data())
def test_shorter_vectors_point_the_same_way_with_length_one(vectors: NDArray[np.float32], data: st.DataObject) -> None:
    dimensions = data.draw(st.integers(1, vectors.shape[1]))
    short = shortened(vectors, dimensions)
    assert short.shape == (len(vectors), dimensions)
    assert np.isfinite(short).all()
    if dimensions < vectors.shape[1]:
        lengths = np.linalg.norm(short.astype(np.float64), axis=1)
        some = np.linalg.norm(vectors[:, :dimensions].astype(np.float64), axis=1) > 1e-15
        assert lengths[some] == pytest.approx(1, abs=1e-4)
