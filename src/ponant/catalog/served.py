"""One model that is served, loaded or not."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Literal

from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.base import Loader
from ponant.catalog.loading.loaded import AnyLoadedModel
from ponant.catalog.spec import ModelSpec
from ponant.engine.base import BackendState

ModelState = BackendState | Literal["unloaded", "loading"]


@dataclass(slots=True)
class ServedModel:
    """A model, and as long as it is loaded what it answers with.

    ``users`` counts the requests that are being prepared for it; those that its backend works on are known there.
    ``last_used`` is in seconds of a clock that never jumps.
    """

    spec: ModelSpec
    loader: Loader
    facts: ModelFacts
    loaded: AnyLoadedModel | None = None
    loading: asyncio.Task[AnyLoadedModel] | None = None
    failure: str | None = None
    adapters_changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    last_used: float = field(default_factory=time.monotonic)

    @property
    def state(self) -> ModelState:
        """Whether it can take requests, or would have to be loaded first."""
        if self.loaded:
            return self.loaded.backend.state
        return "loading" if self.loading else "unloaded"

    @property
    def error(self) -> str | None:
        """Why it is not ready, where that is known."""
        return self.loaded.backend.last_error if self.loaded else self.failure

    @property
    def is_idle(self) -> bool:
        """Whether it is loaded and nobody needs it."""
        return self.loaded is not None and not self.users and not self.loaded.backend.busy
