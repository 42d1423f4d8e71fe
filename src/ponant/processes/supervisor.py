"""The supervisor of a worker process, which loads a model and computes with it.

A failed assertion inside a C library ends the worker. The supervisor then fails the worker's requests with
``EngineUnavailableError`` and starts a new worker.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Generic, Literal, TypeVar

import msgspec

from ponant.errors import EngineUnavailableError, ModelLoadError
from ponant.processes.child_process import ChildProcess
from ponant.processes.frames import FrameBuffer, Loaded, LoadFailed, encode

logger = logging.getLogger("ponant.engine")

WorkerState = Literal["starting", "ready", "restarting", "stopped"]

_SPIN_COUNT = "1000"
"""Bound of the busy waiting of compute threads: enough for a barrier, too little to starve other processes."""
_LONGEST_PAUSE = 30.0
_SECONDS_TO_END = 2.0
_HEALTHY_AFTER = 60.0
"""Life of a worker in seconds after which its end is not part of a crash loop."""

Info = TypeVar("Info")
Frame = TypeVar("Frame", bound=msgspec.Struct)


class _Link(asyncio.Protocol):
    """The parent's end of the socket to a worker."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._buffer = FrameBuffer()
        self.closed = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        for body in self._buffer.feed(data):
            self._take(body)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class Supervisor(Generic[Info, Frame]):
    """Starts a worker, exchanges frames with it, and restarts it when it dies."""

    def __init__(
        self,
        module: str,
        load: msgspec.Struct,
        *,
        decode: Callable[[bytes], Loaded[Info] | LoadFailed | Frame],
        take: Callable[[Frame], None],
        fail_all: Callable[[str], None],
        on_loaded: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is started before ``start``.

        Args:
            module: module of the worker; its only argument is the file descriptor of a socket.
            load: first frame to the worker, which answers ``Loaded`` or ``LoadFailed``.
            decode: decodes the body of a frame from the worker.
            take: called with every other frame from the worker.
            fail_all: called with a reason when the worker dies or is stopped; fails all running requests.
            on_loaded: called for each new worker once it has loaded the model, before it takes requests.
            environment: environment variables of the worker, unless this process has them.
        """
        self._module = module
        self._load = load
        self._decode = decode
        self._take = take
        self._fail_all = fail_all
        self._on_loaded = on_loaded
        self._environment = {"GOMP_SPINCOUNT": _SPIN_COUNT, **(environment or {})}
        self._info: Info | None = None
        self._state: WorkerState = "starting"
        self._last_error: str | None = None
        self._process: ChildProcess | None = None
        self._transport: asyncio.Transport | None = None
        self._loading: asyncio.Future[Info] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def info(self) -> Info:
        """Sizes of the loaded model. Raises EngineUnavailableError before the first start."""
        if self._info is None:
            raise EngineUnavailableError("the model is still being loaded")
        return self._info

    @property
    def state(self) -> WorkerState:
        """State of the worker; it takes requests when ``ready``."""
        return self._state

    @property
    def last_error(self) -> str | None:
        """Reason of the last worker's unexpected end."""
        return self._last_error

    @property
    def process_id(self) -> int | None:
        """Process id of the worker."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the worker and load the model.

        Raises:
            ModelLoadError: the model cannot be run as configured.
        """
        link = await self._launch()
        self._watcher = asyncio.create_task(self._watch(link))

    async def stop(self) -> None:
        """End all requests and the worker."""
        self._state = "stopped"
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        self._fail_all("the server is shutting down")
        await self._end_process()

    def check_ready(self) -> None:
        """Raise EngineUnavailableError unless the worker can take requests."""
        if self._state != "ready":
            raise EngineUnavailableError(f"the engine is {self._state}")

    def send(self, frame: msgspec.Struct) -> None:
        """Write a frame, if there is a worker to read it."""
        if self._transport:
            self._transport.write(encode(frame))

    async def _launch(self) -> _Link:
        """Start a worker and wait until it has loaded the model."""
        ours, theirs = socket.socketpair()
        try:
            self._process = await ChildProcess.start(
                self._module,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                environment={**self._environment, **os.environ},
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        loop = asyncio.get_running_loop()
        self._loading = loop.create_future()
        try:
            self._transport, link = await loop.create_connection(lambda: _Link(self._receive), sock=ours)
            self.send(self._load)
            await asyncio.wait({self._loading, link.closed}, return_when=asyncio.FIRST_COMPLETED)
            if not self._loading.done():
                raise ModelLoadError("the engine ended while it loaded the model")
            self._info = self._loading.result()
            self._on_loaded()
            self._state = "ready"
        except BaseException:
            await self._end_process()
            raise
        return link

    def _receive(self, body: bytes) -> None:
        """Dispatch a frame from the worker."""
        frame = self._decode(body)
        if isinstance(frame, Loaded):
            if self._loading and not self._loading.done():
                self._loading.set_result(frame.info)
        elif isinstance(frame, LoadFailed):
            if self._loading and not self._loading.done():
                self._loading.set_exception(ModelLoadError(frame.message))
        else:
            self._take(frame)

    async def _watch(self, link: _Link) -> None:
        """Fail the requests of each worker that ends, and start another one."""
        pauses = 0
        while True:
            began = time.monotonic()
            await link.closed
            self._state = "restarting"
            status = await self._end_process()
            self._last_error = f"the engine process ended with status {status}"
            logger.error("engine died", extra={"status": status, "worker": self._module})
            self._fail_all("the engine died under this request and is being restarted")
            pauses = 0 if time.monotonic() - began > _HEALTHY_AFTER else pauses + 1
            link = await self._relaunch(pauses)

    async def _relaunch(self, pauses: int) -> _Link:
        for attempt in itertools.count(pauses):
            if attempt > 1:
                pause = min(_LONGEST_PAUSE, 0.5 * 2 ** (attempt - 1))
                self._last_error = f"{self._last_error}; next start in {pause:.0f} s"
                await asyncio.sleep(pause)
            try:
                link = await self._launch()
            except (ModelLoadError, OSError) as error:
                self._last_error = str(error)
                logger.exception("engine restart failed", extra={"attempt": attempt})
            else:
                logger.warning("engine restarted", extra={"attempt": attempt})
                return link
        raise AssertionError("unreachable")

    async def _end_process(self) -> int | None:
        """End the worker by closing its socket; returns its exit status."""
        if self._transport:
            self._transport.close()
            self._transport = None
        if not self._process:
            return None
        process, self._process = self._process, None
        return await process.end(grace=_SECONDS_TO_END)


class Supervised(Generic[Info, Frame]):
    """Base of backends that compute in a worker process."""

    def __init__(self, worker: Supervisor[Info, Frame]) -> None:
        self._worker = worker

    @property
    def info(self) -> Info:
        """Sizes of the loaded model. Raises EngineUnavailableError before the first start."""
        return self._worker.info

    @property
    def state(self) -> WorkerState:
        """State of the worker; it takes requests when ``ready``."""
        return self._worker.state

    @property
    def last_error(self) -> str | None:
        """Reason of the last worker's unexpected end."""
        return self._worker.last_error

    @property
    def process_id(self) -> int | None:
        """Process id of the worker."""
        return self._worker.process_id

    async def start(self) -> None:
        """Start the worker and load the model.

        Raises:
            ModelLoadError: the model cannot be run as configured.
        """
        await self._worker.start()

    async def stop(self) -> None:
        """End all requests and the worker."""
        await self._worker.stop()
