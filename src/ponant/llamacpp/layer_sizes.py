"""Sizes of a model's layers, from the tensors of its GGUF files."""

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponant.errors import ModelLoadError
from ponant.llamacpp.devices import ggml_library

_BLOCK = re.compile(r"blk\.(\d+)\.")
_EXPERTS = re.compile(r"blk\.\d+\.ffn_(?:up|down|gate)_(?:ch|)exps\b")


class _Params(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """Bytes of the weights by layer.

    Attributes:
        layers: bytes of each layer, in order.
        experts: bytes of each layer's experts, which are part of ``layers``.
        output: bytes of what comes after the last layer. llama.cpp counts it as one more layer.
        input: bytes of the token embeddings, which stay in the memory of the machine.
    """

    layers: Sequence[int]
    experts: Sequence[int]
    output: int
    input: int

    @property
    def total(self) -> int:
        """Bytes of all weights."""
        return sum(self.layers) + self.output + self.input


def layer_sizes(parts: Sequence[Path]) -> LayerSizes:
    """Read the sizes of a model's layers.

    Args:
        parts: the GGUF files of the model.

    Raises:
        ModelLoadError: a file cannot be read.
    """
    layers: dict[int, int] = {}
    experts: dict[int, int] = {}
    embeddings = output = 0
    has_output_matrix = False
    for name, size in (tensor for part in parts for tensor in _tensors(part)):
        if block := _BLOCK.match(name):
            index = int(block[1])
            layers[index] = layers.get(index, 0) + size
            if _EXPERTS.match(name):
                experts[index] = experts.get(index, 0) + size
        elif name.startswith("token_embd"):
            embeddings += size
        else:
            output += size
            has_output_matrix = has_output_matrix or name == "output.weight"
    if not has_output_matrix:  # the embeddings are the output matrix too, and are copied to its device
        output += embeddings
    count = max(layers, default=-1) + 1
    return LayerSizes(
        tuple(layers.get(index, 0) for index in range(count)),
        tuple(experts.get(index, 0) for index in range(count)),
        output,
        embeddings,
    )


def _tensors(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the size in bytes of each tensor of a file."""
    library = _gguf()
    file = library.gguf_init_from_file(bytes(path), _Params(no_alloc=True, ctx=None))
    if not file:
        raise ModelLoadError(f"cannot read the tensors of {path}")
    try:
        for index in range(library.gguf_get_n_tensors(ctypes.c_void_p(file))):
            name = library.gguf_get_tensor_name(ctypes.c_void_p(file), ctypes.c_int64(index))
            yield (
                name.decode("utf-8", "replace"),
                library.gguf_get_tensor_size(ctypes.c_void_p(file), ctypes.c_int64(index)),
            )
    finally:
        library.gguf_free(ctypes.c_void_p(file))


def _gguf() -> Any:
    library = ggml_library("ggml-base")
    assert library
    library.gguf_init_from_file.restype = ctypes.c_void_p
    library.gguf_init_from_file.argtypes = [ctypes.c_char_p, _Params]
    library.gguf_get_n_tensors.restype = ctypes.c_int64
    library.gguf_get_tensor_name.restype = ctypes.c_char_p
    library.gguf_get_tensor_size.restype = ctypes.c_size_t
    return library
