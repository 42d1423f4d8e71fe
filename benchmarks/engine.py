"""llama.cpp in the process of a benchmark, with the thread settings of the engine's worker."""

import os
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # read once, when llama.cpp is loaded

from ponant.llamacpp.model import ContextShape, Model

BATCH_TOKENS = 512


def open_model(
    path: Path,
    *,
    cells: int,
    threads: int,
    slots: int = 1,
    batch_tokens: int = BATCH_TOKENS,
    most_logits: int = 1,
    flash_attention: bool = True,
) -> Model:
    """Return a model with a context whose KV cache is F16 and shared by all slots.

    Args:
        path: The GGUF file.
        cells: KV cells of the context, in tokens.
        threads: Threads that compute.
        slots: Sequences that the context can hold.
        batch_tokens: Most tokens of a batch.
        most_logits: Most rows of logits of a batch.
        flash_attention: True to compute attention with llama.cpp's flash kernel.
    """
    model = Model(path)
    model.open_context(
        ContextShape(
            cells=cells,
            slots=slots,
            batch_tokens=batch_tokens,
            most_logits=most_logits,
            threads=threads,
            flash_attention=flash_attention,
            kv_type="f16",
            separate_streams=False,
        )
    )
    return model
