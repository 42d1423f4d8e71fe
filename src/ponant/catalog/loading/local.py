"""The loader of models on this machine, and the owner of its memory and processor cores."""

from collections.abc import Sequence
from typing import Protocol

from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.cores import Cores
from ponant.catalog.loading.loaded import AnyLoadedModel
from ponant.catalog.spec import ModelSpec
from ponant.errors import ModelLoadError
from ponant.machine import SPARE_MEMORY, available_memory, default_threads
from ponant.processes.core_lock import CoreSlot
from ponant.sizes import megabytes


class WorkerLoader(Protocol):
    """Loads models of one kind, each into a worker process of its own."""

    async def describe(self, spec: ModelSpec) -> ModelFacts:
        """Return the facts about a model before it is loaded. Raises ModelLoadError."""
        ...

    async def load(self, spec: ModelSpec, facts: ModelFacts, slot: CoreSlot) -> AnyLoadedModel:
        """Load a model into a worker with this slot on the cores. Raises ModelLoadError."""
        ...


class LocalLoader:
    """Loads models on this machine. Owns its memory and its processor cores."""

    def __init__(
        self,
        completers: WorkerLoader,
        embedders: WorkerLoader,
        *,
        threads: Sequence[int | None] = (),
        memory: int | None = None,
    ) -> None:
        """Initialize the loader; cores are divided when the first model is loaded.

        Args:
            completers: loader of the models that complete prompts.
            embedders: loader of the models that embed.
            threads: threads of each model that may be loaded; None for one per core.
            memory: memory limit of all loaded models together, in bytes; None for the memory of the machine.
        """
        self._completers = completers
        self._embedders = embedders
        self._threads = threads
        self._memory = memory
        self._cores: Cores | None = None
        self._loaded: dict[str, tuple[AnyLoadedModel, CoreSlot]] = {}

    async def describe(self, spec: ModelSpec) -> ModelFacts:
        """Return the facts about a model before it is loaded. Raises ModelLoadError."""
        return await self._loader_of(spec).describe(spec)

    def has_room(self, spec: ModelSpec, facts: ModelFacts) -> bool:
        """Return True if there is memory for a model. Raises ModelLoadError if the model alone exceeds the limit."""
        if self._memory is not None:
            if facts.memory > self._memory:
                raise ModelLoadError(
                    f"{spec.id} needs about {megabytes(facts.memory)}, more than model_memory allows "
                    f"({megabytes(self._memory)}); lower its kv_memory or raise model_memory"
                )
            taken = sum(model.facts.memory for model, _ in self._loaded.values())
            if taken + facts.memory > self._memory:
                return False
        return available_memory() >= facts.memory + SPARE_MEMORY

    async def load(self, spec: ModelSpec, facts: ModelFacts) -> AnyLoadedModel:
        """Load a model into a worker. Raises ModelLoadError."""
        cores = self._divided_cores()
        slot = cores.take()
        try:
            model = await self._loader_of(spec).load(spec, facts, slot)
        except BaseException:
            cores.give_back(slot)
            raise
        self._loaded[spec.id] = model, slot
        return model

    async def unload(self, model: AnyLoadedModel) -> None:
        """Stop a model's worker and free its memory and its slot on the cores."""
        _, slot = self._loaded.pop(model.spec.id, (model, None))
        try:
            await model.backend.stop()
        finally:
            if self._cores and slot:
                self._cores.give_back(slot)

    async def close(self) -> None:
        """Delete the files that the workers shared."""
        if self._cores:
            self._cores.close()

    def _loader_of(self, spec: ModelSpec) -> WorkerLoader:
        return self._embedders if spec.kind == "embed" else self._completers

    def _divided_cores(self) -> Cores:
        if self._cores is None:
            cores = default_threads()
            self._cores = Cores(cores, [threads or cores for threads in self._threads])
        return self._cores
