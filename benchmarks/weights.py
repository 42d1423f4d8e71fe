"""Reads from a GGUF file how much memory one cell of its KV cache takes."""

import struct
from pathlib import Path
from typing import BinaryIO, TypeAlias

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
F16_SIZE = 2

Value: TypeAlias = "int | float | bool | str | list[Value]"


def kv_cell_size(path: Path) -> int:
    """Return the bytes one token takes in an F16 KV cache of a model whose layers are all alike.

    Raises:
        ValueError: The file is not GGUF, or does not describe such a model.
    """
    with path.open("rb") as file:
        metadata = read_metadata(file)

    def number(key: str) -> int | None:
        value = metadata.get(f"{metadata.get('general.architecture')}.{key}")
        return value if isinstance(value, int) else None

    layers = number("block_count")
    width = number("embedding_length")
    heads = number("attention.head_count")
    if layers is None or width is None or heads is None:
        raise ValueError(f"{path.name} does not say how large its KV cache is")
    kv_heads = number("attention.head_count_kv") or heads
    key_length = number("attention.key_length") or width // heads
    value_length = number("attention.value_length") or width // heads
    return layers * kv_heads * (key_length + value_length) * F16_SIZE


def read_metadata(file: BinaryIO) -> dict[str, Value]:
    """Return the key-value pairs at the beginning of a GGUF file."""
    if file.read(4) != MAGIC:
        raise ValueError(f"{Path(file.name).name} is not a GGUF file")
    _version, _tensors, pairs = struct.unpack("<IQQ", file.read(20))
    return {read_string(file): read_value(file, read_scalar(file, "I")) for _ in range(pairs)}


def read_value(file: BinaryIO, kind: int) -> Value:
    """Read one value of the given type."""
    if kind == STRING:
        return read_string(file)
    if kind == ARRAY:
        element_kind, length = struct.unpack("<IQ", file.read(12))
        return [read_value(file, element_kind) for _ in range(length)]
    if kind not in SCALARS:
        raise ValueError(f"{Path(file.name).name} has a value of unknown type {kind}")
    return read_scalar(file, SCALARS[kind])


def read_string(file: BinaryIO) -> str:
    """Read a string behind its length."""
    return file.read(read_scalar(file, "Q")).decode(errors="replace")


def read_scalar(file: BinaryIO, code: str) -> int:
    """Read one little-endian scalar; booleans and floats pass as numbers."""
    value: int = struct.unpack(f"<{code}", file.read(struct.calcsize(code)))[0]
    return value
