"""A served model, loaded or not."""

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
    """A served model.

    Attributes:
        spec: how to run it.
        loader: its loader.
        facts: facts about it.
        loaded: the loaded model; None while it is not loaded.
        loading: task that loads it.
        failure: reason why the last load failed.
        adapters_changing: lock for loading and unloading its adapters.
        users: requests in preparation. Running requests are counted by the backend.
        last_used: end of the last use, in seconds of the monotonic clock.
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
        """State of the backend, or of the load."""
        if self.loaded:
            return self.loaded.backend.state
        return "loading" if self.loading else "unloaded"

    @property
    def chats(self) -> bool:
        """True if it answers conversations."""
        return self.spec.kind == "chat"

    @property
    def calls_functions(self) -> bool:
        """True if it answers conversations with calls, whose arguments a grammar holds."""
        return self.chats and self.facts.grammars

    @property
    def error(self) -> str | None:
        """Reason why it is not ready, if there is one."""
        return self.loaded.backend.last_error if self.loaded else self.failure

    @property
    def is_idle(self) -> bool:
        """True if it is loaded and has no requests."""
        return self.loaded is not None and not self.users and not self.loaded.backend.busy
