"""The models that jobs made, as the database has them, and as the catalog serves them."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from ponant.callers import Caller
from ponant.catalog.catalog import Catalog, UnknownModelError
from ponant.catalog.spec import FineTunedSpec
from ponant.storage.errors import StorageError
from ponant.storage.lazy import LazyStorage

if TYPE_CHECKING:
    from ponant.storage.fine_tuned import FineTunedStore
    from ponant.storage.tables import FineTunedModelRow

logger = logging.getLogger("ponant.fine_tuning")

_POLL_SECONDS = 2.0
"""Seconds after which what other processes have changed is served here too."""


class ModelRegistry:
    """Keeps the catalog in step with the database, which other servers may share."""

    def __init__(self, catalog: Catalog, storage: LazyStorage) -> None:
        self._catalog = catalog
        self._storage = storage
        self._changing = asyncio.Lock()

    async def sync(self) -> None:
        """Serve the models that there are, and no others. Raises StorageError."""
        if not self._storage.in_use:
            return
        async with self._changing:
            store = (await self._storage.open()).fine_tuned
            served = {model.spec.id: model.spec for model in self._catalog.fine_tuned}
            for model in await store.all():
                spec = _spec(model, store)
                before = served.pop(spec.id, None)
                if before is None:
                    self._add(spec)
                elif spec != before:
                    self._catalog.update(spec)
            for gone in served:
                self._catalog.remove(gone)

    async def add(self, model: "FineTunedModelRow", keep: Awaitable[None]) -> None:
        """Serve a model from before it is kept on: whoever sees it can use it. Raises what ``keep`` does."""
        async with self._changing:
            self._add(_spec(model, (await self._storage.open()).fine_tuned))
            try:
                await keep
            except BaseException:
                self._catalog.remove(model.id)
                raise

    async def follow(self) -> None:
        """Sync again and again."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                await self.sync()
            except StorageError as error:
                logger.warning("fine-tuned models not known", extra={"reason": str(error)})

    async def change(self, model_id: str, caller: Caller, **changes: Any) -> FineTunedSpec:
        """Change what is told of a model, or whether it is archived.

        Args:
            model_id: the model's.
            caller: origin of the request.
            changes: of ``name``, ``description`` or ``archived``.

        Raises:
            UnknownModelError: there is none of this id.
            StorageError: it cannot be kept.
        """
        async with self._changing:
            store = (await self._storage.open()).fine_tuned
            model = await store.change(model_id, **changes)
            if model is None:
                raise UnknownModelError(model_id)
            spec = _spec(model, store)
            if any(known.spec.id == model_id for known in self._catalog.fine_tuned):
                self._catalog.update(spec)
            return spec

    async def remove(self, model_id: str, caller: Caller) -> None:
        """Delete a model with its files. Requests that it works on go on to their end.

        Raises:
            UnknownModelError: there is none of this id.
            StorageError: it cannot be deleted; it stays.
        """
        async with self._changing:
            await (await self._storage.open()).fine_tuned.delete(model_id)
            self._catalog.remove(model_id)

    def _add(self, spec: FineTunedSpec) -> None:
        try:
            self._catalog.add(spec)
        except ValueError as error:
            logger.warning("model not served", extra={"model": spec.id, "reason": str(error)})


def _spec(model: "FineTunedModelRow", store: "FineTunedStore") -> FineTunedSpec:
    return FineTunedSpec(
        id=model.id,
        base=model.base,
        adapter=store.adapter(model),
        job=model.job_id,
        root=model.root,
        created=model.created_at,
        name=model.name,
        description=model.description,
        archived=model.archived,
    )
