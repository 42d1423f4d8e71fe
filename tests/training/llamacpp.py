"""Logits of llama.cpp for a model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponant.llamacpp.model import ContextShape, Model

CELLS = 64


def computed(model: Path, tokens: list[int], adapter: Path | None = None) -> NDArray[np.float32]:
    """Return the logits of the last token, with or without an adapter."""
    loaded = Model(model)
    loaded.open_context(
        ContextShape(
            cells=CELLS,
            slots=1,
            batch_tokens=CELLS,
            most_logits=1,
            threads=1,
            flash_attention=False,
            kv_type="f32",
            separate_streams=False,
        )
    )
    if adapter:
        loaded.add_adapter("adapter", adapter)
        loaded.use_adapter("adapter")
    (last,) = loaded.decode([(0, 0, tokens, 1)])
    return np.array(last)
