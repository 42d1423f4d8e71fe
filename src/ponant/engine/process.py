"""An engine whose work is done by a process of its own: started, watched and restarted from here.

A failed assertion inside llama.cpp ends its process. Here that means: the requests it was working on fail with
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
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from ponant.engine.adapters import Adapters
from ponant.engine.base import (
    Delta,
    EngineConfig,
    EngineInfo,
    EngineState,
    EngineUnavailableError,
    GenerateRequest,
    ModelLoadError,
    QueueFullError,
)
from ponant.engine.frames import (
    AdapterAdded,
    Cancel,
    FrameBuffer,
    FromWorker,
    Generate,
    Load,
    Loaded,
    LoadFailed,
    Stepped,
    ToWorker,
    decode_from_worker,
    encode,
)

logger = logging.getLogger("ponant.engine")

_SPIN_COUNT = "1000"
"""How long threads of the computation busy-wait for each other: enough for a barrier, too little to starve others."""
_LONGEST_PAUSE = 30.0
_HEALTHY_AFTER = 60.0
"""Seconds that a worker must live for its end not to count as part of a crash loop."""


class _Generation:
    """The parent's side of a request. Created by ``EngineProcess.generate`` alone."""

    def __init__(self, engine: "EngineProcess", request_id: int, request: GenerateRequest) -> None:
        self.adapter = request.adapter
        self._engine = engine
        self._id = request_id
        self._open = set(range(len(request.seeds)))
        self._deltas: deque[Delta] = deque()
        self._failure: EngineUnavailableError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __aiter__(self) -> "_Generation":
        return self

    async def __anext__(self) -> Delta:
        while not self._deltas:
            if self._failure:
                raise self._failure
            if not self._open:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._deltas.popleft()

    def stop(self, choice: int) -> None:
        """End one choice."""
        if choice in self._open:
            self._open.discard(choice)
            self._deltas = deque(delta for delta in self._deltas if delta.choice != choice)
            self._engine.cancel(self._id, choice, done=not self._open)
            self._wake()

    def cancel(self) -> None:
        """End all choices."""
        if self._open:
            self._open.clear()
            self._deltas.clear()
            self._engine.cancel(self._id, None, done=True)
            self._wake()

    def take(self, delta: Delta) -> bool:
        """Accept a delta from the worker; returns whether it was the request's last."""
        if delta.choice in self._open:
            self._deltas.append(delta)
            if delta.finish:
                self._open.discard(delta.choice)
            self._wake()
        return not self._open

    def fail(self, error: EngineUnavailableError) -> None:
        """No more deltas will come: raise the error once those received have been read."""
        self._open.clear()
        self._failure = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


class _Link(asyncio.Protocol):
    """The parent's end of the socket to a worker."""

    def __init__(self, take: Callable[[FromWorker], None]) -> None:
        self._take = take
        self._buffer = FrameBuffer()
        self.closed = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        for body in self._buffer.feed(data):
            self._take(decode_from_worker(body))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


class EngineProcess:
    """An engine in a worker process of its own.

    At most ``queue_limit`` requests wait for a place among the running ones.
    """

    def __init__(self, config: EngineConfig, *, queue_limit: int = 256) -> None:
        self._config = config
        self._queue_limit = queue_limit
        self._info: EngineInfo | None = None
        self._state: EngineState = "starting"
        self._last_error: str | None = None
        self._ids = itertools.count(1)
        self._generations: dict[int, _Generation] = {}
        self._waiting: set[int] = set()
        self._adapters = Adapters(self._send, config.adapters)
        self._process: asyncio.subprocess.Process | None = None
        self._transport: asyncio.Transport | None = None
        self._loading: asyncio.Future[EngineInfo] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def info(self) -> EngineInfo:
        """What the engine has. Raises EngineUnavailableError before the first start."""
        if self._info is None:
            raise EngineUnavailableError("the model is still being loaded")
        return self._info

    @property
    def state(self) -> EngineState:
        """Whether the engine can take requests."""
        return self._state

    @property
    def last_error(self) -> str | None:
        """How the last worker ended, where that was not asked for."""
        return self._last_error

    @property
    def busy(self) -> bool:
        """Whether there are requests that run or wait."""
        return bool(self._generations)

    @property
    def memory(self) -> int:
        """Bytes of the weights and the KV cache."""
        return self.info.weights_memory + self.info.kv_memory

    @property
    def process_id(self) -> int | None:
        """The worker's process id."""
        return self._process.pid if self._process else None

    @property
    def adapters(self) -> Mapping[str, int]:
        """The adapters that requests can name, and how many requests work with each."""
        return self._adapters.users

    @property
    def most_adapters(self) -> int:
        """How many adapters can be loaded at once."""
        return self._config.adapters

    async def start(self) -> EngineInfo:
        """Start the worker and load the model.

        Raises:
            ModelLoadError: the model cannot be run as configured.
        """
        link = await self._launch()
        self._watcher = asyncio.create_task(self._watch(link))
        return self.info

    async def stop(self) -> None:
        """End all requests and the worker."""
        self._state = "stopped"
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        self._fail_all("the server is shutting down")
        await self._end_process()

    def generate(self, request: GenerateRequest) -> _Generation:
        """Start a request; see ``Engine.generate``."""
        if self._state != "ready":
            raise EngineUnavailableError(f"the engine is {self._state}")
        running = len(self._generations) - len(self._waiting)
        if len(self._waiting) >= self._queue_limit + max(0, self.info.parallel - running):
            raise QueueFullError(f"{len(self._waiting)} requests wait already")
        if request.adapter is not None:
            self._adapters.begin(request.adapter)
        request_id = next(self._ids)
        generation = _Generation(self, request_id, request)
        self._generations[request_id] = generation
        self._waiting.add(request_id)
        self._send(Generate(request_id, request))
        return generation

    def cancel(self, request_id: int, choice: int | None, *, done: bool) -> None:
        """Tell the worker to drop a request or one of its choices; ``done`` if nothing of it is left."""
        if self._state == "ready":
            self._send(Cancel(request_id, choice))
        if done:
            self._forget(request_id)

    async def add_adapter(self, adapter_id: str, path: Path) -> None:
        """Load an adapter; see ``Engine.add_adapter``."""
        if self._state != "ready":
            raise EngineUnavailableError(f"the engine is {self._state}")
        await self._adapters.add(adapter_id, path)

    async def remove_adapter(self, adapter_id: str) -> None:
        """Unload an adapter; see ``Engine.remove_adapter``."""
        await self._adapters.remove(adapter_id)

    def _send(self, frame: ToWorker) -> None:
        if self._transport:
            self._transport.write(encode(frame))

    def _forget(self, request_id: int) -> None:
        generation = self._generations.pop(request_id, None)
        self._waiting.discard(request_id)
        if generation and generation.adapter is not None:
            self._adapters.end(generation.adapter)

    async def _launch(self) -> _Link:
        """Start a worker and wait until it has loaded the model."""
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "ponant.engine.worker",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={"GOMP_SPINCOUNT": _SPIN_COUNT, **os.environ},
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        loop = asyncio.get_running_loop()
        self._loading = loop.create_future()
        try:
            self._transport, link = await loop.create_connection(lambda: _Link(self._take), sock=ours)
            self._send(Load(self._config))
            await asyncio.wait({self._loading, link.closed}, return_when=asyncio.FIRST_COMPLETED)
            if not self._loading.done():
                raise ModelLoadError("the engine ended while it loaded the model")
            self._info = self._loading.result()
            self._adapters.load_again()
            self._state = "ready"
        except BaseException:
            await self._end_process()
            raise
        return link

    def _take(self, frame: FromWorker) -> None:
        """Hand out what the worker sends."""
        match frame:
            case Stepped(started, deltas):
                self._waiting.difference_update(started)
                for request_id, delta in deltas:
                    generation = self._generations.get(request_id)
                    if generation and generation.take(delta):
                        self._forget(request_id)
            case AdapterAdded():
                self._adapters.take(frame)
            case Loaded(info):
                if self._loading and not self._loading.done():
                    self._loading.set_result(info)
            case LoadFailed(message):
                if self._loading and not self._loading.done():
                    self._loading.set_exception(ModelLoadError(message))

    async def _watch(self, link: _Link) -> None:
        """When the worker ends, fail its requests and start another one."""
        pauses = 0
        while True:
            began = time.monotonic()
            await link.closed
            self._state = "restarting"
            status = await self._end_process()
            self._last_error = f"the engine process ended with status {status}"
            logger.error("engine died", extra={"status": status, "requests": len(self._generations)})
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

    def _fail_all(self, reason: str) -> None:
        generations = list(self._generations.values())
        self._generations.clear()
        self._waiting.clear()
        self._adapters.fail(reason)
        for generation in generations:
            generation.fail(EngineUnavailableError(reason))

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
