"""The supervisor of a worker process, which loads a model and computes with it.

A failed assertion inside a C library ends the worker, and a hung worker is killed. The supervisor starts a new one at
once. Only a start that fails is followed by a pause.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec

from ponant.errors import EngineUnavailableError, ModelLoadError
from ponant.processes.child_process import ChildProcess
from ponant.processes.core_lock import CoreSlot, free_slot
from ponant.processes.frames import PING, FrameBuffer, Loaded, LoadFailed, encode
from ponant.processes.heartbeat import USUAL_PATIENCE, Heartbeat, Patience

logger = logging.getLogger("ponant.engine")

WorkerState = Literal["starting", "ready", "restarting", "stopped"]

_SPIN_COUNT = "1000"
"""Bound of the busy waiting of compute threads: enough for a barrier, too little to starve other processes."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_SECONDS_TO_END = 2.0
_STARTS_WITHOUT_PAUSE = 2
_STARTS_UNTIL_REFUSAL, _STARTS_UNTIL_ENDED = 2, 4
"""Failed starts in a row after which requests wait no longer: if the worker gives a reason, or just ends."""

Info = TypeVar("Info")
Frame = TypeVar("Frame", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Death:
    """Unexpected end of a worker.

    Attributes:
        reason: how it ended, as the end of a sentence about the worker.
        crashed: it ended by itself. Otherwise it was killed from outside, or because it hung.
    """

    reason: str
    crashed: bool


class _StartEndedError(ModelLoadError):
    """The worker ended or hung before it had started, without a reason of its own."""


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
        on_death: Callable[[Death], None],
        on_ready: Callable[[], None],
        fail_all: Callable[[str], None],
        on_loaded: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
        patience: Patience = USUAL_PATIENCE,
        slot: CoreSlot | None = None,
    ) -> None:
        """Nothing is started before ``start``.

        Args:
            module: module of the worker; its only argument is the file descriptor of a socket.
            load: first frame to the worker, which answers ``Loaded`` or ``LoadFailed``.
            decode: decodes the body of a frame from the worker.
            take: called with every other frame from the worker.
            on_death: called when the worker has died, before a new one is started. Requests may be kept for that one.
            on_ready: called when a worker takes requests; sends it those that were kept.
            fail_all: called with a reason when no worker can be started soon, or at the stop; fails all requests.
            on_loaded: called for each new worker once it has loaded the model, before it takes requests.
            environment: environment variables of the worker, unless this process has them.
            patience: seconds after which a worker counts as hung.
            slot: slot of the worker on the cores.
        """
        self._module = module
        self._load = load
        self._decode = decode
        self._take = take
        self._on_death = on_death
        self._on_ready = on_ready
        self._fail_all = fail_all
        self._on_loaded = on_loaded
        self._patience = patience
        self._slot = slot
        self._environment = {"GOMP_SPINCOUNT": _SPIN_COUNT, **(environment or {})}
        self._info: Info | None = None
        self._state: WorkerState = "starting"
        self._last_error: str | None = None
        self._process: ChildProcess | None = None
        self._transport: asyncio.Transport | None = None
        self._loading: asyncio.Future[Info] | None = None
        self._heartbeat: Heartbeat | None = None
        self._answer: asyncio.Future[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._is_returning = False

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

    async def wait_until_ready(self) -> None:
        """Wait for a worker that is restarted at once. Raises EngineUnavailableError if there is none."""
        if self._is_returning:
            await self._settled.wait()
        self._check(self._state == "ready")

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
        self._settle()
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        self._fail_all("the server is shutting down")
        await self._end_process()

    def check_accepting(self) -> None:
        """Raise EngineUnavailableError unless the worker takes requests, or its successor will do so at once."""
        self._check(self._state == "ready" or self._is_returning)

    def send(self, frame: msgspec.Struct) -> None:
        """Write a frame, if there is a worker to read it."""
        self._write(encode(frame))

    def _check(self, available: bool) -> None:
        if not available:
            raise EngineUnavailableError(f"the engine is {self._state}")

    def _settle(self) -> None:
        """Let those go on that wait for a restart."""
        self._is_returning = False
        self._settled.set()

    async def _launch(self) -> _Link:
        """Start a worker and wait until it has loaded the model and answered a ping."""
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
            self._heartbeat = Heartbeat(self._process.pid, self._ping, self._patience, self._slot)
            self.send(self._load)
            await self._while_it_loads(self._loading, link)
            self._info = self._loading.result()
            self._on_loaded()
            self._answer = loop.create_future()
            self._ping()
            await self._while_it_loads(self._answer, link)
        except BaseException:
            await self._end_process()
            raise
        self._state = "ready"
        self._settle()
        self._on_ready()
        return link

    async def _while_it_loads(self, step: asyncio.Future[Any], link: _Link) -> None:
        """Wait for a step of a start. Raises ModelLoadError if the worker ends or hangs before."""
        assert self._heartbeat
        hung = asyncio.create_task(self._heartbeat.until_hung(loading=True))
        try:
            await asyncio.wait({step, link.closed, hung}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                how = hung.result() if hung.done() else "ended"
                raise _StartEndedError(f"the engine {how} while it loaded the model")
        finally:
            hung.cancel()

    def _ping(self) -> None:
        self._write(PING)

    def _write(self, data: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def _receive(self, body: bytes) -> None:
        """Dispatch a frame from the worker."""
        if self._heartbeat:
            self._heartbeat.answer()
        if not body:
            if self._answer and not self._answer.done():
                self._answer.set_result(None)
            return
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
        """Replace each worker that ends or hangs."""
        while True:
            death = await self._death(link)
            self._state = "restarting"
            self._settled.clear()
            self._is_returning = True
            self._last_error = f"the engine {death.reason}"
            logger.error("engine died", extra={"reason": death.reason, "worker": self._module})
            self._on_death(death)
            link = await self._relaunch()

    async def _death(self, link: _Link) -> Death:
        """Wait until the worker has ended, and end it if it hangs."""
        assert self._heartbeat
        hung = asyncio.create_task(self._heartbeat.until_hung())
        try:
            await asyncio.wait({link.closed, hung}, return_when=asyncio.FIRST_COMPLETED)
            if hung.done():
                await self._end_process(grace=0)
                return Death(f"{hung.result()} and was ended", crashed=False)
            status = await self._end_process()
            return Death(f"process ended with status {status}", crashed=status != -signal.SIGKILL)
        finally:
            hung.cancel()

    async def _relaunch(self) -> _Link:
        most = _STARTS_UNTIL_REFUSAL
        for failures in itertools.count():
            if failures >= most:
                self._settle()
                self._fail_all("the engine cannot be restarted")
            if failures >= _STARTS_WITHOUT_PAUSE:
                pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (failures - _STARTS_WITHOUT_PAUSE))
                self._last_error = f"{self._last_error}; next start in {pause:.0f} s"
                await asyncio.sleep(pause)
            try:
                link = await self._launch()
            except (ModelLoadError, OSError) as error:
                self._last_error = str(error)
                most = _STARTS_UNTIL_ENDED if isinstance(error, _StartEndedError) else _STARTS_UNTIL_REFUSAL
                logger.exception("engine restart failed", extra={"attempt": failures + 1})
            else:
                logger.warning("engine restarted", extra={"attempt": failures + 1})
                return link
        raise AssertionError("unreachable")

    async def _end_process(self, *, grace: float = _SECONDS_TO_END) -> int | None:
        """End the worker by closing its socket, and kill it after ``grace`` seconds; returns its exit status."""
        if self._transport:
            self._transport.close()
            self._transport = None
        if not self._process:
            return None
        process = self._process
        status = await process.end(grace=grace)
        if self._process is process:
            self._process = None
        if self._slot:
            with contextlib.suppress(OSError):
                free_slot(self._slot)
        return status


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
