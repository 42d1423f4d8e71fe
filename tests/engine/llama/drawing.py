"""Sequences for tests of sampling."""

import numpy as np
from numpy.typing import NDArray

from ponant.engine.base import Sampling
from ponant.engine.llama.sequence import Sequence

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

NO_END: list[int] = []


def sequence(
    sampling: Sampling | None = None,
    *,
    seed: int = 0,
    prompt: list[int] | None = None,
    generated: list[int] | None = None,
    min_tokens: int = 0,
) -> Sequence:
    made = Sequence(
        1,
        0,
        prompt or [0],
        seed=seed,
        sampling=sampling or Sampling(),
        max_tokens=None,
        min_tokens=min_tokens,
        context=1 << 20,
    )
    for token in generated or []:
        made.append(token)
    return made
