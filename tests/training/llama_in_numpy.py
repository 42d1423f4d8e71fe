"""Small model in numpy, with the weights of transformers in their order."""

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.tiny_model import HEAD_WIDTH, HEADS, KV_HEADS, LAYERS

Array = NDArray[np.float64]
HALF = HEAD_WIDTH // 2

MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Names of tensors from GGUF to transformers."""


def read_weights(path: Path) -> dict[str, Array]:
    """Return the weights of a tiny model, with the rows of queries and keys in transformers' order."""
    reader = gguf.GGUFReader(path)
    is_llama = reader.fields["general.architecture"].contents() == "llama"
    weights: dict[str, Array] = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        if is_llama and tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
            # llama.cpp's even rows of each head come first in transformers' order.
            order = [*range(0, HEAD_WIDTH, 2), *range(1, HEAD_WIDTH, 2)]
            heads = len(values) // HEAD_WIDTH
            rows = [head * HEAD_WIDTH + row for head in range(heads) for row in order]
            values = values[rows]
        weights[tensor.name] = values
    return weights


def logits(weights: dict[str, Array], tokens: list[int]) -> Array:
    """Return the logits of the last token."""
    states = weights["token_embd.weight"][tokens]
    for layer in range(LAYERS):
        own = {name.removeprefix(f"blk.{layer}."): values for name, values in weights.items()}
        states = states + _attention(own, _normalised(states, own["attn_norm.weight"]))
        inner = _normalised(states, own["ffn_norm.weight"])
        gate = inner @ own["ffn_gate.weight"].T
        states = states + (gate / (1 + np.exp(-gate)) * (inner @ own["ffn_up.weight"].T)) @ own["ffn_down.weight"].T
    last: Array = _normalised(states[-1], weights["output_norm.weight"]) @ weights["output.weight"].T
    return last


def _attention(own: dict[str, Array], states: Array) -> Array:
    length = len(states)

    def heads_of(name: str, count: int) -> Array:
        values = states @ own[f"{name}.weight"].T + own.get(f"{name}.bias", np.zeros(1))
        values = values.reshape(length, count, HEAD_WIDTH)
        if f"{name}_norm.weight" in own:
            values = _normalised(values, own[f"{name}_norm.weight"])
        return values.swapaxes(0, 1)

    queries, keys = _rotated(heads_of("attn_q", HEADS)), _rotated(heads_of("attn_k", KV_HEADS))
    values = heads_of("attn_v", KV_HEADS)
    keys, values = (np.repeat(part, HEADS // KV_HEADS, axis=0) for part in (keys, values))
    scores = queries @ keys.swapaxes(1, 2) / np.sqrt(HEAD_WIDTH)
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    mixed = (shares @ values).swapaxes(0, 1).reshape(length, -1)
    out: Array = mixed @ own["attn_output.weight"].T
    return out


def _rotated(values: Array) -> Array:
    """Apply rotary positions to pairs of dimensions (i, i + half)."""
    angles = np.arange(values.shape[1])[:, None] * 10000.0 ** (-np.arange(HALF) / HALF)
    first, second = values[..., :HALF], values[..., HALF:]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _normalised(values: Array, weight: Array) -> Array:
    normal: Array = values / np.sqrt((values**2).mean(-1, keepdims=True) + 1e-5) * weight
    return normal
