"""Fine-tuned models: adapters that work in the engine of the model that they were made from."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from ponant.catalog.loading.loaded import LoadedModel
from ponant.catalog.served import ServedModel
from ponant.catalog.spec import FineTunedSpec
from ponant.engine.base import AdapterHost
from ponant.errors import AdapterError, EngineUnavailableError

logger = logging.getLogger("ponant.catalog")

_POLL_SECONDS = 0.05
"""Seconds between two looks at whether an adapter has become idle."""
_ROOM_TIMEOUT_SECONDS = 60.0
"""Seconds that a model waits until there is room for its adapter."""


@dataclass(slots=True)
class FineTunedModel:
    """A fine-tuned model. ``users`` and ``last_used`` as for ``ServedModel``; ``unused`` is set without users."""

    spec: FineTunedSpec
    users: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)
    last_used: float = field(default_factory=time.monotonic)


class FineTunedModels:
    """Owns the list of fine-tuned models, and which of their adapters are in the engines."""

    def __init__(self) -> None:
        self._models: dict[str, FineTunedModel] = {}
        self._unloading: set[asyncio.Task[None]] = set()

    @property
    def all(self) -> list[FineTunedModel]:
        """All of them, in the order in which they came."""
        return list(self._models.values())

    def get(self, model_id: str) -> FineTunedModel | None:
        """The model of this id."""
        return self._models.get(model_id)

    def add(self, spec: FineTunedSpec) -> None:
        """Add a model. Raises ValueError if there is one of its id."""
        if spec.id in self._models:
            raise ValueError(f"there is a model {spec.id} already")
        self._models[spec.id] = FineTunedModel(spec)

    def update(self, spec: FineTunedSpec) -> None:
        """Change what is told of a model, or whether it is archived. Raises KeyError if there is none of its id."""
        self._models[spec.id].spec = spec

    def remove(self, model: FineTunedModel, base: ServedModel | None) -> None:
        """Take a model off the list. Requests that work with it go on; its adapter is unloaded when they are done."""
        del self._models[model.spec.id]
        if base:
            task = asyncio.create_task(self._unload(model, base))
            self._unloading.add(task)
            task.add_done_callback(self._unloading.discard)

    @contextlib.contextmanager
    def in_use(self, model: FineTunedModel) -> Iterator[None]:
        """Keep a model's adapter where it is."""
        model.users += 1
        model.unused.clear()
        try:
            yield
        finally:
            model.users -= 1
            if not model.users:
                model.unused.set()
            model.last_used = time.monotonic()

    async def load(self, model: FineTunedModel, base: ServedModel, engine: AdapterHost | None) -> None:
        """Load a model's adapter into the engine of its base. Raises EngineUnavailableError if that fails."""
        if engine is None:
            raise EngineUnavailableError(f"the engine of {model.spec.base} does not serve adapters")
        if model.spec.id in engine.adapters:
            return
        async with base.adapters_changing:
            if model.spec.id in engine.adapters:
                return
            await self._make_room(model, engine)
            try:
                await engine.add_adapter(model.spec.id, model.spec.adapter)
            except AdapterError as error:
                logger.warning("model not loaded", extra={"model": model.spec.id, "reason": str(error)})
                raise EngineUnavailableError(f"the model {model.spec.id} cannot be loaded: {error}") from error

    async def close(self) -> None:
        """Leave everything as it is."""
        tasks = list(self._unloading)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make_room(self, wanted: FineTunedModel, engine: AdapterHost) -> None:
        """Unload adapters that nobody uses, the least recently used first, until there is room for another one."""
        deadline = time.monotonic() + _ROOM_TIMEOUT_SECONDS
        while len(engine.adapters) >= engine.most_adapters:
            idle = [model for model in self.all if not model.users and engine.adapters.get(model.spec.id) == 0]
            if idle:
                await engine.remove_adapter(min(idle, key=lambda model: model.last_used).spec.id)
            elif time.monotonic() > deadline:
                raise EngineUnavailableError(
                    f"{wanted.spec.id} cannot be loaded while {engine.most_adapters} others of its base are in use"
                )
            else:
                await asyncio.sleep(_POLL_SECONDS)

    async def _unload(self, model: FineTunedModel, base: ServedModel) -> None:
        if model.users:
            await model.unused.wait()
        if isinstance(base.loaded, LoadedModel) and base.loaded.adapters:
            await base.loaded.adapters.remove_adapter(model.spec.id)
