"""The catalog: resolves names to models, loads a model on first use, and unloads idle ones to make room."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, Literal, overload

from ponant.catalog.fine_tuned import FineTunedModel, FineTunedModels
from ponant.catalog.loading.base import Loader
from ponant.catalog.loading.loaded import AnyLoadedModel, LoadedEmbedder, LoadedModel
from ponant.catalog.names import public_kind
from ponant.catalog.served import ServedModel
from ponant.catalog.spec import FineTunedSpec, ModelSpec
from ponant.errors import EngineUnavailableError, ModelLoadError
from ponant.weights.kinds import Kind

logger = logging.getLogger("ponant.catalog")

Preload = Literal["first", "all", "none"]
"""Models that are loaded before the first request."""

_POLL_SECONDS = 0.05
"""Interval at which a load that needs room checks for idle models, in seconds."""
_ROOM_TIMEOUT_SECONDS = 60.0
"""Longest wait for other models to become idle, in seconds. After it the load fails."""
_PURPOSES: dict[Kind, str] = {"chat": "chat", "fim": "fill in code", "embed": "make embeddings"}


class UnknownModelError(Exception):
    """No model has the requested name, or the model cannot do what is requested. The message is for users."""


class Catalog:
    """The served models. The first one of each kind is the default."""

    def __init__(
        self,
        models: Sequence[ModelSpec],
        loaders: Mapping[str, Loader],
        *,
        aliases: Mapping[str, str] | None = None,
        public_names: bool = True,
        preload: Preload = "first",
        unload_after: float | None = None,
    ) -> None:
        """Register the models. No file is read before ``open``.

        Args:
            models: the models to serve.
            loaders: the loaders by their names in the specs.
            aliases: ids of models by further names.
            public_names: resolve Mistral's public names to the default models.
            preload: models that ``open`` loads. The others are loaded on first use.
            unload_after: seconds without a request after which a model is unloaded. None keeps models loaded.
        """
        self._specs = list(models)
        self._loaders = dict(loaders)
        self._aliases = {alias: spec.id for spec in models for alias in spec.aliases} | dict(aliases or {})
        self._public_names = public_names
        self._preload = preload
        self._unload_after = unload_after
        self._served: dict[str, ServedModel] = {}
        self._fine_tuned = FineTunedModels()
        self._opened = asyncio.Event()
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[AnyLoadedModel]] = set()
        self._unloader: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """True if requests can use the models."""
        return self._opened.is_set()

    @property
    def specs(self) -> list[ModelSpec]:
        """The models in the order of the settings, also those that ``open`` has not read yet."""
        return list(self._specs)

    @property
    def models(self) -> list[ServedModel]:
        """All models except the fine-tuned ones, in the order of the settings."""
        return list(self._served.values())

    @property
    def fine_tuned(self) -> list[FineTunedModel]:
        """The fine-tuned models, in the order in which they were added."""
        return self._fine_tuned.all

    @property
    def default(self) -> ServedModel:
        """Default chat model, or else the first model."""
        return self._default("chat") or self.models[0]

    def find(self, name: str | None, kind: Kind | None = None) -> ServedModel | FineTunedModel:
        """Return the model with an id or alias, or the default model.

        Args:
            name: id, alias or public name; None for the default model of the kind.
            kind: task that the model must support; None accepts any model.

        Raises:
            UnknownModelError: there is no such model, it does not support the task, or it is archived.
            EngineUnavailableError: the catalog is not open yet.
        """
        if not self.is_open:
            raise EngineUnavailableError("the models are still being loaded")
        served = self._default(kind or "chat") if name is None else self._named(name, kind)
        if served is None:
            raise UnknownModelError(self._why_unknown(name, kind))
        if kind is None:
            return served
        base = self._usable_base(served) if isinstance(served, FineTunedModel) else served
        if not _can(base.spec.kind, kind):
            others = ", ".join(other.spec.id for other in self.models if _can(other.spec.kind, kind))
            hint = f"; there is {others}" if others else ""
            raise UnknownModelError(f"{name} does not {_PURPOSES[kind]}{hint}")
        return served

    def aliases_of(self, model: ServedModel) -> list[str]:
        """Return the explicit aliases of a model, sorted."""
        return sorted(alias for alias, target in self._aliases.items() if target == model.spec.id)

    def base_of(self, model: FineTunedModel) -> ServedModel | None:
        """Return the base of a fine-tuned model; None if it is not served."""
        return self._served.get(model.spec.base)

    def add(self, spec: FineTunedSpec) -> None:
        """Add a fine-tuned model. Raises ValueError if its id is taken."""
        if spec.id in self._aliases or spec.id in self._served:
            raise ValueError(f"there is a model {spec.id} already")
        self._fine_tuned.add(spec)
        logger.info("model added", extra={"model": spec.id})

    def update(self, spec: FineTunedSpec) -> None:
        """Replace the description and the archived flag of a fine-tuned model.

        The adapter stays the same. Running requests of a model that becomes archived continue.

        Raises:
            UnknownModelError: there is no model with this id.
        """
        if self._fine_tuned.get(spec.id) is None:
            raise UnknownModelError(spec.id)
        self._fine_tuned.update(spec)

    def remove(self, model_id: str) -> None:
        """Remove a fine-tuned model. Its running requests continue to their end.

        Raises:
            UnknownModelError: there is no model with this id.
        """
        model = self._fine_tuned.get(model_id)
        if model is None:
            raise UnknownModelError(model_id)
        self._fine_tuned.remove(model, self.base_of(model))
        logger.info("model removed", extra={"model": model_id})

    @overload
    def use(self, name: str | None, kind: Literal["chat", "fim"]) -> AbstractAsyncContextManager[LoadedModel]: ...

    @overload
    def use(self, name: str | None, kind: Literal["embed"]) -> AbstractAsyncContextManager[LoadedEmbedder]: ...

    def use(self, name: str | None, kind: Kind) -> AbstractAsyncContextManager[Any]:
        """Load a model if necessary and keep it loaded in the block, and after it while its backend is busy.

        Raises:
            UnknownModelError: there is no such model, or it does not support the task.
            EngineUnavailableError: the model cannot be loaded, or not now.
        """
        return self._use(name, kind)

    async def open(self, on_loaded: Callable[[AnyLoadedModel], None] = lambda _: None) -> None:
        """Read the facts of all models and load those of ``preload``.

        Raises:
            ModelLoadError: a model cannot be run. Models loaded before it are stopped.
        """
        try:
            for index, spec in enumerate(self._specs):
                loader = self._loader_of(spec)
                served = self._served[spec.id] = ServedModel(spec, loader, await loader.describe(spec))
                if self._preload == "all" or (self._preload == "first" and index == 0):
                    on_loaded(await self._start_loading(served))
            self._opened.set()
        except BaseException:
            await self.close()
            raise
        if self._unload_after is not None:
            self._unloader = asyncio.create_task(self._unload_idle_models(self._unload_after))

    async def wait_until_open(self) -> None:
        """Wait until requests can use the models."""
        await self._opened.wait()

    async def close(self) -> None:
        """Cancel loads and unload all models."""
        tasks: list[asyncio.Task[AnyLoadedModel] | asyncio.Task[None]] = [*self._tasks]
        if self._unloader:
            tasks.append(self._unloader)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._fine_tuned.close()
        loaded = [(served.loader, served.loaded) for served in self.models if served.loaded]
        try:
            await _end_all(loader.unload(model) for loader, model in loaded)
        finally:
            await _end_all(loader.close() for loader in self._loaders.values())

    def _loader_of(self, spec: ModelSpec) -> Loader:
        if spec.loader not in self._loaders:
            raise ModelLoadError(f"{spec.id}: there is no loader {spec.loader}")
        return self._loaders[spec.loader]

    @asynccontextmanager
    async def _use(self, name: str | None, kind: Kind) -> AsyncIterator[AnyLoadedModel]:
        found = self.find(name, kind)
        if isinstance(found, FineTunedModel):
            base = self._usable_base(found)
            with self._fine_tuned.in_use(found):
                async with self._kept_loaded(base) as loaded:
                    assert isinstance(loaded, LoadedModel)
                    await self._fine_tuned.load(found, base, loaded.adapters)
                    yield replace(loaded, fine_tuned=found.spec)
        else:
            async with self._kept_loaded(found) as loaded:
                yield loaded

    @asynccontextmanager
    async def _kept_loaded(self, served: ServedModel) -> AsyncIterator[AnyLoadedModel]:
        """Load a model if necessary and keep it loaded in the block."""
        served.users += 1
        try:
            yield served.loaded or await self._load_shared(served)
        finally:
            served.users -= 1
            served.last_used = time.monotonic()

    def _default(self, kind: Kind) -> ServedModel | None:
        able = [served for served in self.models if _can(served.spec.kind, kind)]
        if kind == "fim":
            able.sort(key=lambda served: not served.facts.native_fim)
        return able[0] if able else None

    def _named(self, name: str, kind: Kind | None) -> ServedModel | FineTunedModel | None:
        name = self._aliases.get(name, name)
        if served := self._served.get(name) or self._fine_tuned.get(name):
            return served
        public = public_kind(name) if self._public_names else None
        if public == "fim" and kind != "fim":  # Mistral's public code models also chat
            coders = [served for served in self.models if served.facts.native_fim and served.spec.kind == "chat"]
            return coders[0] if coders else self._default("chat")
        return self._default(public) if public else None

    def _why_unknown(self, name: str | None, kind: Kind | None) -> str:
        if name is None:
            return f"the request names no model, and no served model can {_PURPOSES[kind or 'chat']}"
        public = public_kind(name) if self._public_names else None
        return f"{name}; no served model can {_PURPOSES[public]}" if public else name

    def _usable_base(self, model: FineTunedModel) -> ServedModel:
        """Return the base of a fine-tuned model. Raises UnknownModelError if the model cannot be used."""
        if model.spec.archived:
            raise UnknownModelError(f"{model.spec.id} is archived; unarchive it to use it")
        base = self.base_of(model)
        if base is None:
            raise UnknownModelError(f"{model.spec.id} was made from {model.spec.base}, which this server does not have")
        return base

    async def _load_shared(self, served: ServedModel) -> AnyLoadedModel:
        """Load a model once for all waiting requests. A cancelled request does not cancel the load."""
        try:
            return await asyncio.shield(served.loading or self._start_loading(served))
        except ModelLoadError as error:
            raise EngineUnavailableError(f"the model {served.spec.id} cannot be loaded: {error}") from error

    def _start_loading(self, served: ServedModel) -> asyncio.Task[AnyLoadedModel]:
        served.loading = asyncio.create_task(self._load(served))
        self._tasks.add(served.loading)
        served.loading.add_done_callback(self._forget)
        return served.loading

    def _forget(self, loading: asyncio.Task[AnyLoadedModel]) -> None:
        """Drop a finished task and retrieve its error, so that asyncio does not report it as never retrieved."""
        self._tasks.discard(loading)
        if not loading.cancelled():
            loading.exception()

    async def _load(self, served: ServedModel) -> AnyLoadedModel:
        try:
            async with self._changing:
                await self._make_room(served)
                served.loaded = await served.loader.load(served.spec, served.facts)
                served.facts, served.failure = served.loaded.facts, None
                return served.loaded
        except ModelLoadError as error:
            served.failure = str(error)
            if self.is_open:
                logger.warning("model not loaded", extra={"model": served.spec.id, "reason": str(error)})
            raise
        finally:
            served.loading = None

    async def _make_room(self, wanted: ServedModel) -> None:
        """Unload idle models of the same loader, least recently used first, until the loader has room.

        Wait for models in use. If no model of the loader is loaded, the load is tried even without room.
        """
        deadline = time.monotonic() + _ROOM_TIMEOUT_SECONDS
        while not wanted.loader.has_room(wanted.spec, wanted.facts):
            loaded = [served for served in self.models if served.loaded and served.loader is wanted.loader]
            idle = sorted((served for served in loaded if served.is_idle), key=lambda served: served.last_used)
            if idle:
                await self._unload(idle[0], "others need the memory")
            elif not loaded:
                return
            elif time.monotonic() > deadline:
                busy = ", ".join(served.spec.id for served in loaded)
                raise EngineUnavailableError(f"{wanted.spec.id} needs the memory of {busy}, which are in use")
            else:
                await asyncio.sleep(_POLL_SECONDS)

    async def _unload(self, served: ServedModel, reason: str) -> None:
        loaded, served.loaded = served.loaded, None
        assert loaded
        logger.info("model unloaded", extra={"model": served.spec.id, "reason": reason})
        await served.loader.unload(loaded)

    async def _unload_idle_models(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(min(1.0, seconds / 4))
            now = time.monotonic()
            for served in self.models:
                if served.loaded and not served.is_idle:
                    served.last_used = now
                elif served.loaded and now - served.last_used >= seconds:
                    async with self._changing:
                        if served.is_idle:
                            with contextlib.suppress(Exception):
                                await self._unload(served, "idle")


def _can(has: Kind, wanted: Kind) -> bool:
    """Return True if a model of one kind supports the tasks of another."""
    return has == wanted or (has == "chat" and wanted == "fim")


async def _end_all(ends: Iterable[Awaitable[None]]) -> None:
    """Await all of them, then raise the first error."""
    results = await asyncio.gather(*ends, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
