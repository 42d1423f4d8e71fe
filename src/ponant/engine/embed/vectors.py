"""Operations on embedding vectors."""

import numpy as np
from numpy.typing import NDArray


def normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors scaled to length 1; zero vectors stay as they are."""
    lengths: NDArray[np.float32] = np.sqrt(np.square(vectors).sum(axis=-1, keepdims=True))
    result: NDArray[np.float32] = vectors / np.where(lengths == 0, np.float32(1), lengths)
    return result
