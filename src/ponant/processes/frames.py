"""Length-prefixed msgpack frames over a socket, and the frames that every worker sends."""

import struct
from typing import Generic, TypeVar

import msgspec

Info = TypeVar("Info")

HEADER = struct.Struct("<I")
"""Header of a frame: the length of its body in bytes."""

PING = HEADER.pack(0)
"""Frame without a body. A worker answers it with the same between two steps."""

_encoder = msgspec.msgpack.Encoder()


class Loaded(msgspec.Struct, Generic[Info], tag=True, frozen=True):
    """From the worker: the model is loaded."""

    info: Info


class LoadFailed(msgspec.Struct, tag=True, frozen=True):
    """From the worker: the model cannot be loaded."""

    message: str


def encode(frame: msgspec.Struct) -> bytes:
    """Return the header and the body of a frame."""
    body = _encoder.encode(frame)
    return HEADER.pack(len(body)) + body


class FrameBuffer:
    """Splits a byte stream into frame bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes; returns the bodies that are complete now."""
        if not self._buffer and len(data) >= HEADER.size and HEADER.unpack_from(data)[0] == len(data) - HEADER.size:
            return [data[HEADER.size :]]  # one whole frame, as usual
        self._buffer += data
        bodies: list[bytes] = []
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            (length,) = HEADER.unpack_from(self._buffer, start)
            end = start + HEADER.size + length
            if len(self._buffer) < end:
                break
            bodies.append(bytes(self._buffer[start + HEADER.size : end]))
            start = end
        del self._buffer[:start]
        return bodies
