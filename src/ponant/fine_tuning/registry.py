"""Synchronisation of fine-tuned models between the database and the catalog."""

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
"""Seconds between two synchronisations with changes by other processes."""


class ModelRegistry:
    """Keeps the catalog in step with the database, which several servers can share."""

    def __init__(self, catalog: Catalog, storage: LazyStorage) -> None:
        self._catalog = catalog
        self._storage = storage
        self._changing = asyncio.Lock()

    async def sync(self) -> None:
        """Make the catalog serve exactly the models of the database. Raises StorageError."""
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
        """Serve a model and then store it with ``keep``, so that every visible model is usable. Raises as ``keep``."""
        async with self._changing:
            self._add(_spec(model, (await self._storage.open()).fine_tuned))
            try:
                await keep
            except BaseException:
                self._catalog.remove(model.id)
                raise

    async def follow(self) -> None:
        """Synchronise periodically, until cancelled."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                await self.sync()
            except StorageError as error:
                logger.warning("fine-tuned models not synchronised", extra={"reason": str(error)})

    async def change(self, model_id: str, caller: Caller, **changes: Any) -> FineTunedSpec:
        """Change attributes of a model.

        Args:
            model_id: id of the model.
            caller: origin of the request.
            changes: new values of ``name``, ``description`` or ``archived``.

        Raises:
            UnknownModelError: no model has this id.
            StorageError: the changes cannot be stored.
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
        """Delete a model and its files. Requests in progress are completed.

        Raises:
            UnknownModelError: no model has this id.
            StorageError: the model cannot be deleted.
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
