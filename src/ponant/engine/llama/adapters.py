"""LoRA adapters of an engine process."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from ponant.engine.llama.frames import AdapterAdded, AddAdapter, RemoveAdapter, ToWorker
from ponant.errors import AdapterError, EngineError, EngineUnavailableError

logger = logging.getLogger("ponant.engine")


class Adapters:
    """Adapters that a worker has loaded, is loading, or unloads after their last request.

    A restarted worker loads the adapters of its predecessor.
    """

    def __init__(self, send: Callable[[ToWorker], None], most: int) -> None:
        """Track the adapters of a worker.

        Args:
            send: sends a frame to the worker.
            most: largest number of adapters at once.
        """
        self._send = send
        self._most = most
        self._paths: dict[str, Path] = {}
        self._adding: dict[str, tuple[Path, asyncio.Future[EngineError | None]]] = {}
        self._leaving: dict[str, tuple[Path, asyncio.Future[None]]] = {}
        self._users: Counter[str] = Counter()

    @property
    def users(self) -> Mapping[str, int]:
        """Number of running requests by the id of each loaded adapter."""
        return {adapter_id: self._users[adapter_id] for adapter_id in self._paths}

    def begin(self, adapter_id: str) -> None:
        """Count a request that uses an adapter. Raises EngineUnavailableError if the adapter is not loaded."""
        if adapter_id not in self._paths:
            raise EngineUnavailableError(f"the adapter {adapter_id} is not loaded")
        self._users[adapter_id] += 1

    def end(self, adapter_id: str) -> None:
        """Count the end of a request that the worker has ended, or was sent the cancellation of."""
        self._users[adapter_id] -= 1
        self._unload_if_unused(adapter_id)

    async def add(self, adapter_id: str, path: Path) -> None:
        """Load an adapter; see ``AdapterHost.add_adapter``."""
        if adapter_id in self._paths or adapter_id in self._adding:
            raise AdapterError(f"the adapter {adapter_id} is already loaded")
        if adapter_id in self._leaving:
            raise AdapterError(f"the adapter {adapter_id} is still being unloaded")
        if len(self._paths) + len(self._adding) + len(self._leaving) >= self._most:
            raise AdapterError(f"cannot load more than {self._most} adapters at once")
        answer: asyncio.Future[EngineError | None] = asyncio.get_running_loop().create_future()
        self._adding[adapter_id] = path, answer
        self._send(AddAdapter(adapter_id, str(path)))
        if failure := await asyncio.shield(answer):
            raise failure

    async def remove(self, adapter_id: str) -> None:
        """Unload an adapter; see ``AdapterHost.remove_adapter``."""
        if path := self._paths.pop(adapter_id, None):
            self._leaving[adapter_id] = path, asyncio.get_running_loop().create_future()
            self._unload_if_unused(adapter_id)
        if leaving := self._leaving.get(adapter_id):
            await asyncio.shield(leaving[1])

    def take(self, answer: AdapterAdded) -> None:
        """Accept the worker's answer to ``AddAdapter``."""
        path, waiting = self._adding.pop(answer.id, (None, None))
        if waiting and path:
            if answer.failure is None:
                self._paths[answer.id] = path
            waiting.set_result(AdapterError(answer.failure) if answer.failure else None)
        elif answer.failure:
            self._paths.pop(answer.id, None)
            logger.error("adapter not reloaded", extra={"adapter": answer.id, "reason": answer.failure})

    def load_again(self) -> None:
        """Load all adapters into a new worker, with those that requests still use."""
        for adapter_id, path in self._paths.items():
            self._send(AddAdapter(adapter_id, str(path)))
        for adapter_id, (path, _) in self._leaving.items():
            self._send(AddAdapter(adapter_id, str(path)))

    def fail(self, error: EngineError) -> None:
        """Fail pending loads, as the worker has ended."""
        adding, self._adding = self._adding, {}
        for _, answer in adding.values():
            answer.set_result(error)

    def _unload_if_unused(self, adapter_id: str) -> None:
        if adapter_id in self._leaving and not self._users[adapter_id]:
            self._send(RemoveAdapter(adapter_id))
            _, unloaded = self._leaving.pop(adapter_id)
            unloaded.set_result(None)
