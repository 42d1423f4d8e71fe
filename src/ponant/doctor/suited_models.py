"""Well-known models, and those of them that fit into a machine's memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

GB = 2**30
_BUFFERS = GB // 2
"""Memory for compute buffers, in bytes."""
_USEFUL_CONTEXT = 4096
"""Shortest context with which a model counts as fitting, in tokens."""
_USUAL_CONTEXT = 32_768
"""Longest context that is reckoned with, in tokens. Models with longer ones need the memory only if it is used."""

Fit = Literal["device", "device and processor", "processor", "no"]
"""Place of a model's layers: all on devices, some of them, or none; ``no`` if there is too little memory."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model as it is published.

    Attributes:
        name: name of the model.
        weights: size of the weights in Q4_K_M, in bytes.
        kv_bytes_per_token: size of the keys and values of a token in f16, in bytes.
        context: context length in tokens.
    """

    name: str
    weights: int
    kv_bytes_per_token: int
    context: int


def _kv(layers: int, kv_heads: int, head_width: int) -> int:
    return layers * kv_heads * head_width * 2 * 2


KNOWN_MODELS = (
    KnownModel("SmolLM2 135M (bundled)", int(0.09 * GB), _kv(30, 3, 64), 8_192),
    KnownModel("Ministral 3B", int(2.0 * GB), _kv(26, 8, 128), 131_072),
    KnownModel("Mistral 7B", int(4.1 * GB), _kv(32, 8, 128), 32_768),
    KnownModel("Ministral 8B", int(4.6 * GB), _kv(36, 8, 128), 131_072),
    KnownModel("Mistral Nemo 12B", int(7.0 * GB), _kv(40, 8, 128), 131_072),
    KnownModel("Codestral 22B", int(12.4 * GB), _kv(56, 8, 128), 32_768),
    KnownModel("Mistral Small 24B, Devstral", int(13.3 * GB), _kv(40, 8, 128), 131_072),
    KnownModel("Mixtral 8x7B", int(24.6 * GB), _kv(32, 8, 128), 32_768),
)
"""Published models with the sizes of their files and the shapes of their layers."""


@dataclass(frozen=True, slots=True)
class SuitedModel:
    """A model on this machine: where it fits, its context in tokens, and its expected memory in bytes."""

    model: KnownModel
    fit: Fit
    context: int
    memory: int


def suited_models(host: int, device: int) -> Iterator[SuitedModel]:
    """Yield the known models with their places on a machine.

    Args:
        host: available memory of the machine in bytes.
        device: free memory of its devices in bytes; 0 without devices.
    """
    for model in KNOWN_MODELS:
        places: list[tuple[Fit, int]] = [("processor", host)]
        if device:
            places = [("device", device), ("device and processor", device + host), *places]
        fit, context = next(
            ((place, found) for place, memory in places if (found := _context(model, memory))), ("no", 0)
        )
        needed = (context or _USEFUL_CONTEXT) * model.kv_bytes_per_token
        yield SuitedModel(model, fit, context, model.weights + _BUFFERS + needed)


def _context(model: KnownModel, memory: int) -> int:
    """Return the longest context of a model in some memory, in whole thousands of tokens; 0 if it does not fit."""
    tokens = (memory - model.weights - _BUFFERS) // model.kv_bytes_per_token
    longest = min(model.context, _USUAL_CONTEXT)
    shortest = min(longest, _USEFUL_CONTEXT)
    return min(longest, max(shortest, tokens // 1024 * 1024)) if tokens >= shortest else 0
