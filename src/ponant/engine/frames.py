"""What crosses the socket between an engine and its worker process: length-prefixed msgpack frames."""

import struct
from typing import Generic, TypeVar

import msgspec

from ponant.engine.base import Delta, EngineConfig, EngineInfo, GenerateRequest

HEADER = struct.Struct("<I")
"""Length of the body that follows, in bytes."""


Info = TypeVar("Info")


class Load(msgspec.Struct, tag=True, frozen=True):
    """To the worker, first of all: load this model."""

    config: EngineConfig


class Generate(msgspec.Struct, tag=True, frozen=True):
    """To the worker: start this request. ``id`` names it from now on."""

    id: int
    request: GenerateRequest


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """To the worker: drop a request, or one of its choices."""

    id: int
    choice: int | None = None


class AddAdapter(msgspec.Struct, tag=True, frozen=True):
    """To the worker: load the adapter in this file, which requests name by ``id``."""

    id: str
    path: str


class RemoveAdapter(msgspec.Struct, tag=True, frozen=True):
    """To the worker: unload an adapter that no request names any more."""

    id: str


class Loaded(msgspec.Struct, Generic[Info], tag=True, frozen=True):
    """From the worker: the model is loaded."""

    info: Info


class LoadFailed(msgspec.Struct, tag=True, frozen=True):
    """From the worker: the model cannot be loaded."""

    message: str


class AdapterAdded(msgspec.Struct, tag=True, frozen=True):
    """From the worker: an adapter is loaded, or cannot be for the reason given in ``failure``."""

    id: str
    failure: str | None = None


class Stepped(msgspec.Struct, tag=True, frozen=True):
    """From the worker, after each step: requests that left the queue, and new tokens by request id."""

    started: list[int]
    deltas: list[tuple[int, Delta]]


ToWorker = Load | Generate | Cancel | AddAdapter | RemoveAdapter
FromWorker = Loaded[EngineInfo] | LoadFailed | AdapterAdded | Stepped

_encoder = msgspec.msgpack.Encoder()
_to_worker = msgspec.msgpack.Decoder(ToWorker)
_from_worker = msgspec.msgpack.Decoder(FromWorker)


def encode(frame: msgspec.Struct) -> bytes:
    """The frame as it goes over the socket, header included."""
    body = _encoder.encode(frame)
    return HEADER.pack(len(body)) + body


def decode_to_worker(body: bytes) -> ToWorker:
    """The frame of a body that the worker received. Raises msgspec.DecodeError."""
    frame: ToWorker = _to_worker.decode(body)
    return frame


def decode_from_worker(body: bytes) -> FromWorker:
    """The frame of a body that the worker sent. Raises msgspec.DecodeError."""
    frame: FromWorker = _from_worker.decode(body)
    return frame


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
