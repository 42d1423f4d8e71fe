"""The numbers of embeddings: fewer of them, smaller ones, and how they are written."""

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ponant.api.embeddings import EmbeddingDtype, EncodingFormat
from ponant.engine.embed.vectors import normalized

_INT8_RANGE = 4.0
"""What the largest int8 stands for, in root mean squares of a vector's numbers: rarely is one of them larger."""

Numbers = NDArray[np.float32] | NDArray[np.int8] | NDArray[np.uint8]


def shortened(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The first numbers of each vector, with length 1 again."""
    return vectors if dimensions == vectors.shape[1] else normalized(vectors[:, :dimensions])


def quantized(vectors: NDArray[np.float32], dtype: EmbeddingDtype) -> Numbers:
    """The vectors, of length 1, in another type of number.

    ``int8`` has steps of ``4 / (127 * sqrt(dimensions))`` from -127 to 127; ``uint8`` is 128 more. ``ubinary`` has a
    bit for each number, 1 if it is positive, the first one in the highest bit of the first byte; if the last byte is
    not full, its lowest bits are 0. ``binary`` is the same minus 128, as int8.
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
    """Each row as a list of numbers, or as the base64 of its bytes, little-endian where numbers have several."""
    if encoding == "float":
        lists: list[list[float]] = numbers.tolist()
        return lists
    rows = numbers.astype("<f4", copy=False) if numbers.dtype == np.float32 else numbers
    return [base64.b64encode(row.tobytes()).decode("ascii") for row in rows]


def _int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    scale = 127 * np.sqrt(vectors.shape[1]) / _INT8_RANGE
    numbers: NDArray[np.int8] = np.clip(np.rint(vectors * scale), -127, 127).astype(np.int8)
    return numbers
