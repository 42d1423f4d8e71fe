"""Validation of LoRA adapter files.

llama.cpp ends its process when a value has an unexpected type, or when tensors cannot be multiplied. So files are
checked here first. llama.cpp itself refuses tensors whose names or shapes do not fit the model.
"""

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ponant.errors import AdapterError
from ponant.private_files import open_file

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_LONGEST_HEADER = 16 * 2**20
"""Most bytes of an adapter before its tensors' data. It has no vocabulary."""
_ALIGNMENT = 32

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""``struct`` formats of scalar values by their type numbers in GGUF."""
_STRING, _ARRAY = 8, 9
_FLOAT = 6

_BFLOAT16 = 30
_NUMBERS: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2"), _BFLOAT16: np.dtype("<u2")}
"""Accepted types of tensors. numpy has no bfloat16."""
_BFLOAT16_EXPONENT = 0x7F80


@dataclass(frozen=True, slots=True)
class _Value:
    kind: int
    content: Any


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


class _Header:
    """Header of a GGUF file: its values, and the tensors without their data. Raises ValueError or struct.error."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        if self._take("4s") != _MAGIC or self._take("I") not in _VERSIONS:
            raise ValueError("not a GGUF file of a known version")
        tensors, values = self._take("Q"), self._take("Q")
        self.values = {self._string(): self._value() for _ in range(values)}
        self.tensors = [self._tensor() for _ in range(tensors)]
        alignment = self.get("general.alignment", 4) or _ALIGNMENT
        self.data_start = -(-self._place // alignment) * alignment

    def get(self, name: str, kind: int) -> Any:
        """Return a value; None if there is none. Raises ValueError if it has another type."""
        value = self.values.get(name)
        if value and value.kind != kind:
            raise ValueError(f"{name} has the wrong type")
        return value.content if value else None

    def _take(self, kind: str) -> Any:
        (value,) = struct.unpack_from(f"<{kind}", self._data, self._place)
        self._place += struct.calcsize(f"<{kind}")
        return value

    def _string(self) -> str:
        length = self._take("Q")
        if length > len(self._data) - self._place:
            raise ValueError("a string is longer than the file")
        return bytes(self._take(f"{length}s")).decode()

    def _value(self) -> _Value:
        kind = self._take("I")
        if kind == _STRING:
            return _Value(kind, self._string())
        if kind == _ARRAY:
            self._skip_array()
            return _Value(kind, None)
        if kind not in _SCALARS:
            raise ValueError(f"a value has the unknown type {kind}")
        return _Value(kind, self._take(_SCALARS[kind]))

    def _skip_array(self) -> None:
        kind, count = self._take("I"), self._take("Q")
        if kind == _STRING:
            for _ in range(count):
                self._string()
        elif kind in _SCALARS:
            self._place += count * struct.calcsize(_SCALARS[kind])
        else:
            raise ValueError(f"an array has the unknown type {kind}")

    def _tensor(self) -> _Tensor:
        name = self._string()
        dimensions = self._take("I")
        if not 1 <= dimensions <= 4:
            raise ValueError(f"{name} has {dimensions} dimensions")
        shape = tuple(self._take("Q") for _ in range(dimensions))
        return _Tensor(name, shape, self._take("I"), self._take("Q"))


def check_adapter_file(path: Path, architecture: str) -> None:
    """Raise AdapterError unless a file is a LoRA adapter for an architecture, with finite numbers."""
    try:
        with open_file(path, "rb") as file:
            try:
                header = _Header(file.read(_LONGEST_HEADER))
                _check(header, file, architecture)
            except (ValueError, struct.error, OverflowError) as error:
                raise AdapterError(f"{path} is not a usable LoRA adapter: {error}") from None
    except FileNotFoundError:
        raise AdapterError(f"there is no file {path}") from None
    except OSError as error:
        raise AdapterError(f"cannot read {path}: {error.strerror}") from None


def _check(header: _Header, file: BinaryIO, architecture: str) -> None:
    if header.get("general.type", _STRING) != "adapter" or header.get("adapter.type", _STRING) != "lora":
        raise ValueError("its metadata is not that of an adapter")
    made_for = header.get("general.architecture", _STRING)
    if made_for != architecture:
        raise ValueError(f"it is for the architecture {made_for}, but the model has the architecture {architecture}")
    if not math.isfinite(header.get("adapter.lora.alpha", _FLOAT) or 0.0):
        raise ValueError("adapter.lora.alpha is not a number")
    if "adapter.alora.invocation_tokens" in header.values:
        raise ValueError("it is an activated LoRA (adapter.alora.invocation_tokens), which is not supported")
    if not header.tensors:
        raise ValueError("it has no tensors")
    size = os.fstat(file.fileno()).st_size
    for tensor in header.tensors:
        _check_tensor(tensor, header.data_start, file, size)


def _check_tensor(tensor: _Tensor, data_start: int, file: BinaryIO, size: int) -> None:
    name = tensor.name
    if not name.endswith((".lora_a", ".lora_b")) or not name.startswith(("blk.", "output.weight.")):
        raise ValueError(f"{name} is not a tensor of an adapter")
    if len(tensor.shape) != 2 or 0 in tensor.shape:
        raise ValueError(f"{name} is not a matrix")
    if tensor.kind not in _NUMBERS:
        raise ValueError(f"the type of {name} is not F32, F16 or BF16")
    numbers, count = _NUMBERS[tensor.kind], math.prod(tensor.shape)
    start = data_start + tensor.offset
    if start + count * numbers.itemsize > size:
        raise ValueError("the file is truncated")
    file.seek(start)
    values = np.frombuffer(file.read(count * numbers.itemsize), dtype=numbers)
    finite = values & _BFLOAT16_EXPONENT != _BFLOAT16_EXPONENT if tensor.kind == _BFLOAT16 else np.isfinite(values)
    if not finite.all():
        raise ValueError(f"{name} has values that are not finite")
