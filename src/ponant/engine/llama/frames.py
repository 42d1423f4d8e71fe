"""Frames between an engine and its worker process."""

import msgspec

from ponant.engine.base import Delta, GenerateRequest
from ponant.engine.llama.config import EngineConfig, EngineInfo
from ponant.engine.report import StepReport
from ponant.processes.frames import Loaded, LoadFailed


class Load(msgspec.Struct, tag=True, frozen=True):
    """To the worker: load this model. It is the first frame."""

    config: EngineConfig


class Generate(msgspec.Struct, tag=True, frozen=True):
    """To the worker: start a request, which later frames name by ``id``."""

    id: int
    request: GenerateRequest


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """To the worker: drop a request, or only one of its choices."""

    id: int
    choice: int | None = None


class AddAdapter(msgspec.Struct, tag=True, frozen=True):
    """To the worker: load the adapter in a file, which requests name by ``id``."""

    id: str
    path: str


class RemoveAdapter(msgspec.Struct, tag=True, frozen=True):
    """To the worker: unload an adapter that no request uses."""

    id: str


class AdapterAdded(msgspec.Struct, tag=True, frozen=True):
    """From the worker: an adapter is loaded, or was refused for the reason ``failure``."""

    id: str
    failure: str | None = None


class Stepped(msgspec.Struct, tag=True, frozen=True):
    """From the worker, after each step: requests that left the queue, and deltas by request id."""

    started: list[int]
    deltas: list[tuple[int, Delta]]


ToWorker = Load | Generate | Cancel | AddAdapter | RemoveAdapter
FromWorker = Loaded[EngineInfo] | LoadFailed | AdapterAdded | Stepped | StepReport

_to_worker = msgspec.msgpack.Decoder(ToWorker)
_from_worker = msgspec.msgpack.Decoder(FromWorker)


def decode_to_worker(body: bytes) -> ToWorker:
    """Decode the body of a frame to the worker. Raises msgspec.DecodeError."""
    frame: ToWorker = _to_worker.decode(body)
    return frame


def decode_from_worker(body: bytes) -> FromWorker:
    """Decode the body of a frame from the worker. Raises msgspec.DecodeError."""
    frame: FromWorker = _from_worker.decode(body)
    return frame
