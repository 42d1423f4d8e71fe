"""Worker process without a model, for `benchmarks.front`: the tokens of its answers cost it nothing.

It takes the place of `ponant.engine.llama.worker` and speaks the same frames. The first token of a request is sent at
once. Further tokens are sent in steps of a fixed length, one token for each running request and all in one frame. An
answer of more than `SILENT` tokens has no second token.
"""

import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from ponant.engine.base import Delta, GenerateRequest
from ponant.engine.llama.config import EngineInfo
from ponant.engine.llama.frames import Cancel, Generate, Stepped, ToWorker, decode_to_worker
from ponant.processes.child import Connection, parent
from ponant.processes.frames import Loaded

SILENT = 2**16
"""Most tokens of an answer that is completed."""
STEP, TIMES = "FRONT_STEP", "FRONT_TIMES"
"""Environment variables: the length of a step in seconds, and the file of `SendTimes`."""
TIMED = 512
"""Tokens of a stream whose times are kept."""
_STREAMS = 128
_PARALLEL = 4096
_CONTEXT = 2**20
_FIRST_TOKEN, _TOKENS = 1000, 16
"""Tokens of the answers. The server has their bytes after the first ones, as it has those of common words."""


class SendTimes:
    """Times at which the first tokens of streams were sent, by `time.monotonic`, in a file that two processes share.

    The number of a stream is the `top_k` of its request, which reaches the worker unchanged.
    """

    def __init__(self, file: Path) -> None:
        """Open a file; it is created if it does not exist."""
        if not file.exists():
            file.write_bytes(bytes(8 * _STREAMS * TIMED))
        with file.open("r+b") as opened:
            self._times = memoryview(mmap.mmap(opened.fileno(), 0)).cast("d")

    def write(self, stream: int, token: int, seconds: float) -> None:
        """Write the time of a token, unless it is beyond the first ones."""
        if stream < _STREAMS and token < TIMED:
            self._times[stream * TIMED + token] = seconds

    def of(self, stream: int) -> list[float]:
        """Return the times of the first `TIMED` tokens of a stream."""
        return [self._times[stream * TIMED + token] for token in range(TIMED)]


@dataclass(slots=True)
class _Running:
    """A running request, and the number of its tokens so far."""

    request: GenerateRequest
    tokens: int = 0

    def next_delta(self) -> Delta:
        token = _FIRST_TOKEN + self.tokens % _TOKENS
        self.tokens += 1
        return Delta(0, [token], "length" if self.tokens == self.request.max_tokens else None)


class _Worker:
    def __init__(self, connection: Connection[ToWorker], step: float, times: SendTimes) -> None:
        self._connection = connection
        self._step = step
        self._times = times
        self._running: dict[int, _Running] = {}
        self._next_step = 0.0

    def run(self) -> None:
        """Answer requests until the parent closes the socket."""
        while True:
            wait = max(0.0, self._next_step - time.monotonic()) if self._running else None
            frames = self._connection.receive(wait=True, timeout=wait)
            begun = [request for frame in frames if (request := self._take(frame)) in self._running]
            if begun:
                self._send(begun, started=begun)
            elif self._running and time.monotonic() >= self._next_step:
                self._next_step = time.monotonic() + self._step
                self._send(list(self._running), started=[])

    def _take(self, frame: ToWorker) -> int:
        """Handle a frame; return the id of the request that it begins, or 0."""
        if isinstance(frame, Generate):
            self._running[frame.id] = _Running(frame.request)
            return frame.id
        if isinstance(frame, Cancel):
            self._running.pop(frame.id, None)
        return 0

    def _send(self, requests: list[int], *, started: list[int]) -> None:
        """Send the next token of each request."""
        deltas: list[tuple[int, Delta]] = []
        now = time.monotonic()
        for request_id in requests:
            running = self._running[request_id]
            self._times.write(running.request.sampling.top_k, running.tokens, now)
            delta = running.next_delta()
            deltas.append((request_id, delta))
            if delta.finish or (running.request.max_tokens or 0) > SILENT:
                del self._running[request_id]
        self._connection.send(Stepped(started, deltas))


def engine_info() -> EngineInfo:
    """Return sizes of an engine that no request exceeds, also those of another checkout with other fields."""
    sizes: dict[str, Any] = {field.name: 0 for field in structs.fields(EngineInfo) if field.required}
    return EngineInfo(**sizes | {"context": _CONTEXT, "kv_cells": _CONTEXT, "parallel": _PARALLEL})


def main() -> None:
    """Run the worker."""
    with parent(decode_to_worker) as connection:
        connection.receive(wait=True)  # the configuration
        connection.send(Loaded(engine_info()))
        file = os.environ[TIMES]
        _Worker(connection, float(os.environ[STEP]), SendTimes(Path(file))).run()


if __name__ == "__main__":
    main()
