"""Names and aliases, and the models behind them: loaded when needed, unloaded when others need the room."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
"""Which models are loaded before the first request."""

_POLL_SECONDS = 0.05
"""Seconds between two looks at whether a model has become idle."""
_ROOM_TIMEOUT_SECONDS = 60.0
"""Seconds that a model waits for others to become idle before it is refused."""
_PURPOSES: dict[Kind, str] = {"chat": "chat", "fim": "fill in code", "embed": "make embeddings"}


class UnknownModelError(Exception):
    """No model has this name, or the one that has it does not do what is asked for. The message is for users."""


class Catalog:
    """The models that are served. The first one of each kind is the default."""

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
        """Name the models; nothing is read before ``open``.

        Args:
            models: what to serve.
            loaders: by the names that the specs have for them.
            aliases: further names, of models by id.
            public_names: whether Mistral's public names stand for the default models.
            preload: which models ``open`` loads; the others are loaded when they are first used.
            unload_after: seconds without a request after which a model is unloaded; None keeps it.
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
        """Whether requests find the models."""
        return self._opened.is_set()

    @property
    def models(self) -> list[ServedModel]:
        """All models but the fine-tuned ones, in the order in which they were named."""
        return list(self._served.values())

    @property
    def fine_tuned(self) -> list[FineTunedModel]:
        """The fine-tuned models, in the order in which they came."""
        return self._fine_tuned.all

    @property
    def default(self) -> ServedModel:
        """The model that chats when none is named, or else the first one."""
        return self._default("chat") or self.models[0]

    def find(self, name: str | None, kind: Kind | None = None) -> ServedModel | FineTunedModel:
        """The model of this id or alias; the default one for None.

        Args:
            name: what the model is called.
            kind: what it must be able to do; None if it does not matter.

        Raises:
            UnknownModelError: there is none that does, or it is archived.
            EngineUnavailableError: the models are not known yet.
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
        """The explicit other names of a model."""
        return sorted(alias for alias, target in self._aliases.items() if target == model.spec.id)

    def base_of(self, model: FineTunedModel) -> ServedModel | None:
        """The model that a fine-tuned one was made from, if it is served."""
        return self._served.get(model.spec.base)

    def add(self, spec: FineTunedSpec) -> None:
        """Serve a fine-tuned model from now on. Raises ValueError if there is a model of its id."""
        if spec.id in self._aliases or spec.id in self._served:
            raise ValueError(f"there is a model {spec.id} already")
        self._fine_tuned.add(spec)
        logger.info("model added", extra={"model": spec.id})

    def update(self, spec: FineTunedSpec) -> None:
        """Change what is told of the fine-tuned model of this id, or whether it is archived.

        What it computes stays what it was. Requests that an archived model works on go on.

        Raises:
            UnknownModelError: there is none.
        """
        if self._fine_tuned.get(spec.id) is None:
            raise UnknownModelError(spec.id)
        self._fine_tuned.update(spec)

    def remove(self, model_id: str) -> None:
        """Serve a fine-tuned model no longer. Requests that it works on go on to their end.

        Raises:
            UnknownModelError: there is none of this id.
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
        """A model, loaded if it is not yet. It stays loaded in the block, and then as long as its backend is busy.

        Raises:
            UnknownModelError: there is none of this name that does what is asked for.
            EngineUnavailableError: it cannot be loaded, or not now.
        """
        return self._use(name, kind)

    async def open(self, on_loaded: Callable[[AnyLoadedModel], None] = lambda _: None) -> None:
        """Look at all models, and load those that are to be.

        Raises:
            ModelLoadError: one cannot be run; those loaded before are stopped.
        """
        try:
            for index, spec in enumerate(self._specs):
                loader = self._loaders[spec.loader]
                served = self._served[spec.id] = ServedModel(spec, loader, await loader.describe(spec))
                if self._preload == "all" or (self._preload == "first" and index == 0):
                    on_loaded(await self._load(served))
            self._opened.set()
        except BaseException:
            await self.close()
            raise
        if self._unload_after is not None:
            self._unloader = asyncio.create_task(self._unload_idle_models(self._unload_after))

    async def wait_until_open(self) -> None:
        """Wait until requests find the models."""
        await self._opened.wait()

    async def close(self) -> None:
        """Stop everything."""
        tasks: list[asyncio.Task[AnyLoadedModel] | asyncio.Task[None]] = [*self._tasks]
        if self._unloader:
            tasks.append(self._unloader)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._fine_tuned.close()
        for served in self.models:
            if served.loaded:
                await served.loader.unload(served.loaded)
        for loader in self._loaders.values():
            await loader.close()

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
        """A model, loaded if it is not yet, and not unloaded in the block."""
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
        if public == "fim" and kind != "fim":  # the public models for code chat, too
            coders = [served for served in self.models if served.facts.native_fim and served.spec.kind == "chat"]
            return coders[0] if coders else self._default("chat")
        return self._default(public) if public else None

    def _why_unknown(self, name: str | None, kind: Kind | None) -> str:
        if name is None:
            return f"none is named, and this server has none to {_PURPOSES[kind or 'chat']}"
        public = public_kind(name) if self._public_names else None
        return f"{name}; this server has none to {_PURPOSES[public]}" if public else name

    def _usable_base(self, model: FineTunedModel) -> ServedModel:
        """The model whose engine a fine-tuned one works in. Raises UnknownModelError if it is not to be used."""
        if model.spec.archived:
            raise UnknownModelError(f"{model.spec.id} is archived; unarchive it to use it")
        base = self.base_of(model)
        if base is None:
            raise UnknownModelError(f"{model.spec.id} was made from {model.spec.base}, which this server does not have")
        return base

    async def _load_shared(self, served: ServedModel) -> AnyLoadedModel:
        """Load a model once for all who wait for it; whoever stops waiting does not stop the loading."""
        if served.loading is None:
            served.loading = asyncio.create_task(self._load(served))
            self._tasks.add(served.loading)
            served.loading.add_done_callback(self._forget)
        try:
            return await asyncio.shield(served.loading)
        except ModelLoadError as error:
            raise EngineUnavailableError(f"the model {served.spec.id} cannot be loaded: {error}") from error

    def _forget(self, loading: asyncio.Task[AnyLoadedModel]) -> None:
        """Forget a task, and take its error, for which perhaps nobody waits any more."""
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
        """Unload models of the same loader, the least recently used ones first, until it has room for another one.

        What is in use is waited for. If even that does not help, the model may try what it can do with the rest.
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
    """Whether a model of one kind can do what is asked of another."""
    return has == wanted or (has == "chat" and wanted == "fim")
