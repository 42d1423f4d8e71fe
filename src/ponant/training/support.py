"""What can be trained here; known without the packages that training needs."""

from functools import cache
from importlib.util import find_spec

ARCHITECTURES = {"llama": True, "mistral3": True, "qwen2": False, "qwen3": False}
"""The architectures that can be trained, and whether llama.cpp has the two halves of a head's dimensions interleaved.

Position is told by rotating pairs of dimensions. In PEFT's weights, which are transformers', a pair is (i, i + half);
with these architectures it is (2i, 2i + 1) in llama.cpp, so the rows of the query and key matrices change places.
"""

_PACKAGES = ("torch", "transformers", "peft", "gguf", "safetensors")


@cache
def missing_package() -> str | None:
    """The first of the packages that training needs and that is not installed."""
    return next((package for package in _PACKAGES if find_spec(package) is None), None)
