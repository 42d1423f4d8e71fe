"""Number formats of embeddings: fewer dimensions, smaller types, and their encoding in JSON."""

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ponant.api.embeddings import EmbeddingDtype, EncodingFormat
from ponant.engine.embed.vectors import normalized

_INT8_RANGE = 4.0
"""Value of the largest int8, in root mean squares of a vector's numbers. Larger numbers are rare."""

Numbers = NDArray[np.float32] | NDArray[np.int8] | NDArray[np.uint8]


def shortened(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Return the first ``dimensions`` numbers of each vector, scaled to length 1."""
    return vectors if dimensions == vectors.shape[1] else normalized(vectors[:, :dimensions])


def quantized(vectors: NDArray[np.float32], dtype: EmbeddingDtype) -> Numbers:
    """Convert unit vectors to another type of number.

    ``int8`` has steps of ``4 / (127 * sqrt(dimensions))`` from -127 to 127; ``uint8`` is int8 plus 128. ``ubinary`` has
    one bit per number, 1 for a positive one, from the highest bit of the first byte on; unused bits of the last byte
    are 0. ``binary`` is ubinary minus 128, as int8.
    """
    match dtype:
        case "float":
            return vectors
        case "int8":
            return _int8(vectors)
        case "uint8":
            return (_int8(vectors).astype(np.int16) + 128).astype(np.uint8)
        case "ubinary":
            return np.packbits(vectors > 0, axis=-1)
        case "binary":
            return (np.packbits(vectors > 0, axis=-1).astype(np.int16) - 128).astype(np.int8)


def written(numbers: Numbers, encoding: EncodingFormat) -> Sequence[list[float] | str]:
    """Encode each row as a list of numbers, or as base64 of its little-endian bytes."""
    if encoding == "float":
        lists: list[list[float]] = numbers.tolist()
        return lists
    rows = numbers.astype("<f4", copy=False) if numbers.dtype == np.float32 else numbers
    return [base64.b64encode(row.tobytes()).decode("ascii") for row in rows]


def _int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    scale = 127 * np.sqrt(vectors.shape[1]) / _INT8_RANGE
    numbers: NDArray[np.int8] = np.clip(np.rint(vectors * scale), -127, 127).astype(np.int8)
    return numbers
