"""Sizes of models and of their KV caches, from the metadata of GGUF files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

KVType = Literal["f16", "f32", "q8_0", "q4_0"]
"""Number format of the KV cache."""

_BYTES_PER_BLOCK: dict[KVType, int] = {"f16": 64, "f32": 128, "q8_0": 34, "q4_0": 18}
"""Bytes of 32 numbers. Quantized formats have a scale for as many."""
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Sizes of a model.

    Attributes:
        context: context length of the model in tokens.
        weights: size of the weights in bytes.
        kv_bytes_per_token: size of the keys and values of a token in bytes.
    """

    context: int
    weights: int
    kv_bytes_per_token: int


def model_size(metadata: Mapping[str, str], weights: int, kv_type: KVType) -> ModelSize:
    """Return the sizes of a model with this metadata of a GGUF file. The KV size of unusual layers is an upper bound.

    Args:
        metadata: key-value pairs of the file.
        weights: size of the weights in bytes.
        kv_type: number format of the KV cache.
    """
    architecture = metadata.get("general.architecture", "")

    def largest(key: str, default: int) -> int:
        numbers = metadata.get(f"{architecture}.{key}", "").strip("[]").split(",")
        return max((int(number) for number in numbers if number.strip().isdecimal()), default=default)

    heads = max(1, largest("attention.head_count", 1))
    head_length = largest("embedding_length", 0) // heads
    lengths = largest("attention.key_length", head_length) + largest("attention.value_length", head_length)
    values = largest("block_count", 0) * largest("attention.head_count_kv", heads) * lengths
    return ModelSize(largest("context_length", 0), weights, max(1, values * _BYTES_PER_BLOCK[kv_type] // _BLOCK))
