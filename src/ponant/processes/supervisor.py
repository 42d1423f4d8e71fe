"""A worker: a process that loads a model and computes with it, started, watched and restarted from here.

A failed assertion inside a C library ends its process. Here that means: the requests that the worker had fail with
``EngineUnavailableError``, and a new process takes over.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Generic, Literal, TypeVar

import msgspec

from ponant.errors import EngineUnavailableError, ModelLoadError
from ponant.processes.frames import FrameBuffer, Loaded, LoadFailed, encode

logger = logging.getLogger("ponant.engine")

WorkerState = Literal["starting", "ready", "restarting", "stopped"]

_SPIN_COUNT = "1000"
"""How long threads of the computation busy-wait for each other: enough for a barrier, too little to starve others."""
_LONGEST_PAUSE = 30.0
_HEALTHY_AFTER = 60.0
"""Seconds that a worker must live for its end not to count as part of a crash loop."""

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


class WorkerProcess(Generic[Info, Frame]):
    """A worker process, as its owner sees it: frames go there and come from there."""

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
            module: what the process runs: a module whose only argument is the file descriptor of a socket.
            load: the frame that tells it which model to load. It answers ``Loaded`` or ``LoadFailed``.
            decode: reads a frame that it sent.
            take: gets all other frames that it sends.
            fail_all: fails all requests under way, for the reason that it gets, when the worker has died or is stopped.
            on_loaded: called for each worker that has loaded the model, before it takes requests.
            environment: variables that it gets unless this process has them.
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
        self._process: asyncio.subprocess.Process | None = None
        self._transport: asyncio.Transport | None = None
        self._loading: asyncio.Future[Info] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def info(self) -> Info:
        """What the loaded model has. Raises EngineUnavailableError before the first start."""
        if self._info is None:
            raise EngineUnavailableError("the model is still being loaded")
        return self._info

    @property
    def state(self) -> WorkerState:
        """Whether the worker can take requests."""
        return self._state

    @property
    def last_error(self) -> str | None:
        """How the last worker ended, where that was not asked for."""
        return self._last_error

    @property
    def process_id(self) -> int | None:
        """The worker's process id."""
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
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                self._module,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={**self._environment, **os.environ},
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
        """Hand out what the worker sends."""
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
        """When the worker ends, fail its requests and start another one."""
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
        """Close the socket, so that the worker ends, and make sure that it has; returns its exit status."""
        if self._transport:
            self._transport.close()
            self._transport = None
        if not self._process:
            return None
        process, self._process = self._process, None
        try:
            async with asyncio.timeout(2):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()


class WorkerOwner(Generic[Info, Frame]):
    """What is computed by a worker, as far as it is the same for all of them."""

    def __init__(self, worker: WorkerProcess[Info, Frame]) -> None:
        self._worker = worker

    @property
    def info(self) -> Info:
        """What the model has. Raises EngineUnavailableError before the first start."""
        return self._worker.info

    @property
    def state(self) -> WorkerState:
        """Whether the model can take requests."""
        return self._worker.state

    @property
    def last_error(self) -> str | None:
        """How the last worker ended, where that was not asked for."""
        return self._worker.last_error

    @property
    def process_id(self) -> int | None:
        """The worker's process id."""
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
