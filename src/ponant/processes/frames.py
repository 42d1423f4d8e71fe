"""Length-prefixed msgpack frames over a socket, and those that all workers send."""

import struct
from typing import Generic, TypeVar

import msgspec

Info = TypeVar("Info")

HEADER = struct.Struct("<I")
"""Length of the body that follows, in bytes."""

_encoder = msgspec.msgpack.Encoder()


class Loaded(msgspec.Struct, Generic[Info], tag=True, frozen=True):
    """From the worker: the model is loaded."""

    info: Info


class LoadFailed(msgspec.Struct, tag=True, frozen=True):
    """From the worker: the model cannot be loaded."""

    message: str


def encode(frame: msgspec.Struct) -> bytes:
    """The frame as it goes over the socket, header included."""
    body = _encoder.encode(frame)
    return HEADER.pack(len(body)) + body


class FrameBuffer:
    """Cuts a byte stream into frame bodies."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add what was read; returns the bodies that are now complete."""
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
