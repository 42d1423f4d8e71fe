"""Fine-tuned models: LoRA adapters in the engines of their base models."""

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
"""Interval at which a load that needs room checks for idle adapters, in seconds."""
_ROOM_TIMEOUT_SECONDS = 60.0
"""Longest wait for room for an adapter, in seconds."""


@dataclass(slots=True)
class FineTunedModel:
    """A fine-tuned model. ``users`` and ``last_used`` as in ``ServedModel``; ``unused`` is set without users."""

    spec: FineTunedSpec
    users: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)
    last_used: float = field(default_factory=time.monotonic)


class FineTunedModels:
    """The fine-tuned models. Loads their adapters into engines and unloads them."""

    def __init__(self) -> None:
        self._models: dict[str, FineTunedModel] = {}
        self._unloading: set[asyncio.Task[None]] = set()

    @property
    def all(self) -> list[FineTunedModel]:
        """All models, in the order in which they were added."""
        return list(self._models.values())

    def get(self, model_id: str) -> FineTunedModel | None:
        """Return the model with this id; None if there is none."""
        return self._models.get(model_id)

    def add(self, spec: FineTunedSpec) -> None:
        """Add a model. Raises ValueError if its id is taken."""
        if spec.id in self._models:
            raise ValueError(f"there is a model {spec.id} already")
        self._models[spec.id] = FineTunedModel(spec)

    def update(self, spec: FineTunedSpec) -> None:
        """Replace the spec of a model. Raises KeyError if there is no model with its id."""
        self._models[spec.id].spec = spec

    def remove(self, model: FineTunedModel, base: ServedModel | None) -> None:
        """Remove a model from the list. Its adapter is unloaded after the last running request."""
        del self._models[model.spec.id]
        if base:
            task = asyncio.create_task(self._unload(model, base))
            self._unloading.add(task)
            task.add_done_callback(self._unloading.discard)

    @contextlib.contextmanager
    def in_use(self, model: FineTunedModel) -> Iterator[None]:
        """Keep a model's adapter loaded in the block."""
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
        """Load a model's adapter into the engine of its base. Raises EngineUnavailableError on failure."""
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
        """Cancel pending unloads of adapters."""
        tasks = list(self._unloading)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make_room(self, wanted: FineTunedModel, engine: AdapterHost) -> None:
        """Unload unused adapters, least recently used first, until there is room for another one."""
        deadline = time.monotonic() + _ROOM_TIMEOUT_SECONDS
        while len(engine.adapters) >= engine.most_adapters:
            idle = [model for model in self.all if not model.users and engine.adapters.get(model.spec.id) == 0]
            if idle:
                await engine.remove_adapter(min(idle, key=lambda model: model.last_used).spec.id)
            elif time.monotonic() > deadline:
                raise EngineUnavailableError(
                    f"{wanted.spec.id} cannot be loaded: {engine.most_adapters} other adapters of its base are in use"
                )
            else:
                await asyncio.sleep(_POLL_SECONDS)

    async def _unload(self, model: FineTunedModel, base: ServedModel) -> None:
        if model.users:
            await model.unused.wait()
        if isinstance(base.loaded, LoadedModel) and base.loaded.adapters:
            await base.loaded.adapters.remove_adapter(model.spec.id)
