"""Conditions for training, checked without importing the packages for training."""

from functools import cache
from importlib.util import find_spec

ARCHITECTURES = {"llama": True, "mistral3": True, "qwen2": False, "qwen3": False}
"""The architectures that can be trained. True if llama.cpp interleaves the two halves of a head's dimensions.

Rotary position embeddings rotate pairs of dimensions. In transformers and PEFT a pair is (i, i + half). With
interleaved architectures it is (2i, 2i + 1) in llama.cpp, so the rows of the query and key matrices are permuted.
"""

_PACKAGES = ("torch", "transformers", "peft", "gguf", "safetensors")


@cache
def missing_package() -> str | None:
    """Return the first missing package of those that training needs; None if all are installed."""
    return next((package for package in _PACKAGES if find_spec(package) is None), None)
