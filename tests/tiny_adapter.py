"""LoRA adapters for tiny models, in llama.cpp's format, with random weights large enough to change every answer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from numpy.typing import NDArray

from tests.tiny_model import FEED_FORWARD, HEAD_WIDTH, HEADS, KV_HEADS, LAYERS, RESERVED, WIDTH

SHAPES = {
    "attn_q": (HEADS * HEAD_WIDTH, WIDTH),
    "attn_k": (KV_HEADS * HEAD_WIDTH, WIDTH),
    "attn_v": (KV_HEADS * HEAD_WIDTH, WIDTH),
    "attn_output": (WIDTH, HEADS * HEAD_WIDTH),
    "ffn_gate": (FEED_FORWARD, WIDTH),
    "ffn_up": (FEED_FORWARD, WIDTH),
    "ffn_down": (WIDTH, FEED_FORWARD),
}
"""Shapes (outputs, inputs) of the matrices that adapters change in each layer."""

Array = NDArray[np.float32]


def adapter_matrices(
    seed: int, *, rank: int = 4, modules: Sequence[str] = tuple(SHAPES), layers: int = LAYERS
) -> dict[str, tuple[Array, Array]]:
    """Return random A (rank, inputs) and B (outputs, rank) by the name of the changed matrix, e.g. ``blk.0.attn_q``."""
    random = np.random.default_rng(seed)
    matrices: dict[str, tuple[Array, Array]] = {}
    for layer in range(layers):
        for module in modules:
            outputs, inputs = SHAPES[module]
            a = random.standard_normal((rank, inputs)) / np.sqrt(inputs)
            b = random.standard_normal((outputs, rank)) / np.sqrt(rank)
            if module in ("attn_output", "ffn_down", "attn_v"):
                b[:RESERVED] = 0  # dimensions reserved by the tiny model, including its failure marks
            matrices[f"blk.{layer}.{module}"] = a.astype(np.float32), b.astype(np.float32)
    return matrices


def write_tiny_adapter(
    path: Path,
    *,
    seed: int = 1,
    architecture: str = "llama",
    kind: str = "adapter",
    alpha: float | str | None = None,
    matrices: dict[str, tuple[Array, Array]] | None = None,
    more: dict[str, NDArray[np.generic]] | None = None,
) -> Path:
    """Write an adapter and return its path.

    Args:
        path: Path of the file.
        seed: Seed of the weights.
        architecture: Architecture in the file's metadata.
        kind: Adapter type in the file's metadata.
        alpha: Scale times rank; None for the rank, which gives a scale of 1. A text makes the file invalid.
        matrices: Matrices to write instead of random ones for all modules.
        more: Further tensors.
    """
    matrices = adapter_matrices(seed) if matrices is None else matrices
    writer = GGUFWriter(path, architecture)
    writer.add_string("general.type", kind)
    writer.add_string("adapter.type", "lora")
    if isinstance(alpha, str):
        writer.add_string("adapter.lora.alpha", alpha)
    else:
        rank = next((len(a) for a, _ in matrices.values()), 1)
        writer.add_float32("adapter.lora.alpha", rank if alpha is None else alpha)
    for name, (a, b) in matrices.items():
        writer.add_tensor(f"{name}.weight.lora_a", a)
        writer.add_tensor(f"{name}.weight.lora_b", b)
    for name, tensor in (more or {}).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
