"""Engine in a worker process."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ponant.engine.base import Capabilities, Delta, GenerateRequest, Limits
from ponant.engine.device import cpu
from ponant.engine.llama.adapters import Adapters
from ponant.engine.llama.config import EngineConfig, EngineInfo
from ponant.engine.llama.frames import AdapterAdded, Cancel, Generate, Load, Stepped, decode_from_worker
from ponant.engine.report import StepReport
from ponant.errors import (
    EngineError,
    EngineRestartedError,
    EngineUnavailableError,
    QueueFullError,
    RequestRefusedError,
)
from ponant.processes.heartbeat import USUAL_PATIENCE, Patience
from ponant.processes.outbox import Outbox
from ponant.processes.supervisor import Death, Supervised, Supervisor
from ponant.sizes import megabytes


class _Generation:
    """Parent's side of a request, created by ``EngineProcess.generate``."""

    def __init__(self, engine: "EngineProcess", request_id: int, request: GenerateRequest) -> None:
        self.adapter = request.adapter
        self.has_grammar = request.grammar is not None
        self._engine = engine
        self._id = request_id
        self._choices = len(request.seeds)
        self._open = set(range(self._choices))
        self._deltas: deque[Delta] = deque()
        self._failure: EngineError | None = None
        self._has_restarted = False
        self._waiter: asyncio.Future[None] | None = None
        self._follower: Callable[[Delta], bool] | None = None

    def __aiter__(self) -> "_Generation":
        return self

    async def __anext__(self) -> Delta:
        while not self._deltas:
            if self._failure:
                raise self._failure
            if self._has_restarted:
                self._has_restarted = False
                raise EngineRestartedError
            if not self._open:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._deltas.popleft()

    def follow(self, take: Callable[[Delta], bool]) -> None:
        """Call ``take`` with new deltas; see ``Generation.follow``."""
        self._follower = take

    def stop(self, choice: int) -> None:
        """End one choice. Its deltas that were received but not read are dropped, even if it has ended."""
        self._deltas = deque(delta for delta in self._deltas if delta.choice != choice)
        if choice in self._open:
            self._open.discard(choice)
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
        """Accept a delta from the worker; returns True if it was the request's last."""
        if delta.choice not in self._open:
            return not self._open
        if delta.finish:
            self._open.discard(delta.choice)
        is_next = not self._deltas and not self._has_restarted
        if not (is_next and self._follower and self._follower(delta)):
            self._deltas.append(delta)
            self._wake()
        return not self._open

    def restart(self) -> None:
        """Drop the deltas that were received, as the request begins again."""
        self._deltas.clear()
        self._open = set(range(self._choices))
        self._has_restarted = True
        self._wake()

    def fail(self, error: EngineError) -> None:
        """End the request: raise the error after the deltas that were received."""
        self._open.clear()
        self._failure = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


class EngineProcess(Supervised[EngineInfo, Stepped | AdapterAdded | StepReport]):
    """Engine in a worker process, with a queue of at most ``queue_limit`` requests."""

    def __init__(self, config: EngineConfig, *, queue_limit: int = 256, patience: Patience = USUAL_PATIENCE) -> None:
        self._config = config
        self._queue_limit = queue_limit
        self._ids = itertools.count(1)
        self._generations: dict[int, _Generation] = {}
        self._waiting: set[int] = set()
        self._report = StepReport()
        worker = Supervisor[EngineInfo, Stepped | AdapterAdded | StepReport](
            "ponant.engine.llama.worker",
            Load(config),
            decode=decode_from_worker,
            take=self._take,
            on_death=self._on_death,
            on_ready=self._on_ready,
            fail_all=self._fail_all,
            on_loaded=self._load_adapters,
            patience=patience,
            slot=config.core_slot,
        )
        super().__init__(worker)
        self._outbox = Outbox(worker.send, _identity)
        self._adapters = Adapters(self._worker.send, config.adapters)

    @property
    def busy(self) -> bool:
        """True if requests are running or waiting."""
        return bool(self._generations)

    @property
    def waiting(self) -> int:
        """Number of requests in the queue."""
        return len(self._waiting)

    @property
    def memory(self) -> int:
        """Size of the weights, the KV cache and the prefix store in bytes."""
        return self.info.weights_memory + self.info.kv_memory + self.info.prefix_memory

    @property
    def device(self) -> str:
        """Hardware that computes; see ``Backend.device``."""
        return cpu(self.info.threads)

    @property
    def limits(self) -> Limits:
        """Limits of the engine."""
        return Limits(self.info.context, self.info.parallel, self.info.kv_cells)

    @property
    def capabilities(self) -> Capabilities:
        """Optional features of the engine: all."""
        return Capabilities()

    def describe(self, name: str) -> str:
        """Return a one-line summary of the loaded model; see ``Backend.describe``."""
        info = self.info
        return (
            f"Loaded {name} ({megabytes(info.weights_memory)}): {_devices(info)}"
            f"context {info.context} tokens, KV cache {info.kv_cells} tokens ({megabytes(info.kv_memory)}), "
            f"{info.parallel} sequences at once, {info.threads} threads"
        )

    @property
    def report(self) -> StepReport:
        """Latest report of the worker; a new worker counts from 0."""
        return self._report

    @property
    def adapters(self) -> Mapping[str, int]:
        """Number of running requests by the id of each loaded adapter."""
        return self._adapters.users

    @property
    def most_adapters(self) -> int:
        """Largest number of adapters that can be loaded at once."""
        return self._config.adapters

    def generate(self, request: GenerateRequest) -> _Generation:
        """Start a request; see ``Engine.generate``."""
        self._worker.check_accepting()
        running = len(self._generations) - len(self._waiting)
        if len(self._waiting) >= self._queue_limit + max(0, self.info.parallel - running):
            raise QueueFullError(f"{len(self._waiting)} requests wait already")
        request_id = next(self._ids)
        if request.adapter is not None:
            self._adapters.begin(request.adapter)
        try:
            self._outbox.add(request_id, Generate(request_id, request))
        except RequestRefusedError:
            if request.adapter is not None:
                self._adapters.end(request.adapter)
            raise
        generation = _Generation(self, request_id, request)
        self._generations[request_id] = generation
        self._waiting.add(request_id)
        return generation

    def cancel(self, request_id: int, choice: int | None, *, done: bool) -> None:
        """Drop a request in the worker, or one of its choices; ``done`` if none is left."""
        if self._outbox.has_sent(request_id):
            self._worker.send(Cancel(request_id, choice))
        if done:
            self._forget(request_id)

    async def add_adapter(self, adapter_id: str, path: Path) -> None:
        """Load an adapter; see ``AdapterHost.add_adapter``."""
        await self._worker.wait_until_ready()
        try:
            await self._adapters.add(adapter_id, path)
        except EngineRestartedError:
            await self._worker.wait_until_ready()
            await self._adapters.add(adapter_id, path)

    async def remove_adapter(self, adapter_id: str) -> None:
        """Unload an adapter; see ``AdapterHost.remove_adapter``."""
        await self._adapters.remove(adapter_id)

    def _load_adapters(self) -> None:
        self._adapters.load_again()

    def _forget(self, request_id: int) -> None:
        generation = self._generations.pop(request_id, None)
        self._waiting.discard(request_id)
        self._outbox.remove(request_id)
        if generation and generation.adapter is not None:
            self._adapters.end(generation.adapter)

    def _take(self, frame: Stepped | AdapterAdded | StepReport) -> None:
        """Deliver a frame from the worker."""
        if isinstance(frame, AdapterAdded):
            self._adapters.take(frame)
            return
        if isinstance(frame, StepReport):
            self._report = frame
            return
        self._waiting.difference_update(frame.started)
        for request_id, delta in frame.deltas:
            generation = self._generations.get(request_id)
            if generation and generation.take(delta):
                self._forget(request_id)

    def _on_death(self, death: Death) -> None:
        """Keep all requests for the next worker, except those that the worker probably died of."""
        self._report = StepReport()
        self._adapters.fail(EngineRestartedError())
        compiled = {request_id for request_id in self._waiting if self._generations[request_id].has_grammar}
        for request_id in self._outbox.close(death, (self._generations.keys() - self._waiting) | compiled):
            self._end(request_id, RequestRefusedError())
        self._waiting.update(self._generations)
        for generation in self._generations.values():
            generation.restart()

    def _on_ready(self) -> None:
        self._outbox.open()

    def _fail_all(self, reason: str) -> None:
        self._report = StepReport()
        self._outbox.clear()
        self._adapters.fail(EngineUnavailableError(reason))
        for request_id in list(self._generations):
            self._end(request_id, EngineUnavailableError(reason))

    def _end(self, request_id: int, error: EngineError) -> None:
        generation = self._generations[request_id]
        self._forget(request_id)
        generation.fail(error)


def _devices(info: EngineInfo) -> str:
    """Return the devices of a model as the beginning of a list; empty if it is on none."""
    if not info.devices:
        return ""
    placed = " and ".join(
        f"{device.layers} on {device.name} ({device.description}, {megabytes(device.free_before)} of "
        f"{megabytes(device.total)} free before, {megabytes(device.free_after)} after)"
        for device in info.devices
    )
    on_host = info.layers - sum(device.layers for device in info.devices)
    rest = f" and {on_host} on the processor, which slows every token" if on_host else ""
    return f"of {info.layers} layers {placed}{rest}, "


def _identity(frame: msgspec.Struct) -> object:
    assert isinstance(frame, Generate)
    return msgspec.structs.replace(frame.request, seeds=[])
