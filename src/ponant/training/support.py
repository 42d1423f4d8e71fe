"""Conditions for training, checked without importing the packages for training."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ponant.training.errors import ExportError

ARCHITECTURES = {"llama": True, "mistral3": True, "qwen2": False, "qwen3": False}
"""The architectures that can be trained. True if llama.cpp interleaves the two halves of a head's dimensions.

Rotary position embeddings rotate pairs of dimensions. In transformers and PEFT a pair is (i, i + half). With
interleaved architectures it is (2i, 2i + 1) in llama.cpp, so the rows of the query and key matrices are permuted.
"""

_PACKAGES = ("torch", "transformers", "peft", "gguf", "safetensors")


def check_base(base: Path, architecture: str, files: int) -> None:
    """Raise ExportError if adapters for a model cannot be exported.

    Args:
        base: GGUF file of the model.
        architecture: architecture in its metadata.
        files: number of files that the model is split into.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ExportError(
            f"{base}: adapters for models of the architecture {architecture} cannot be exported ({known})"
        )
    if files > 1:
        raise ExportError(f"{base} is one of several files of a model; join them with llama-gguf-split --merge")


@cache
def missing_package() -> str | None:
    """Return the first missing package of those that training needs; None if all are installed."""
    return next((package for package in _PACKAGES if find_spec(package) is None), None)
