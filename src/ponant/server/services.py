"""The services that the routes call, and their background tasks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass

from ponant.catalog.catalog import Catalog
from ponant.completion.chat import ChatService
from ponant.completion.fim import FimService
from ponant.completion.generation import CompletionStarter
from ponant.completion.text import TextService
from ponant.embedding.service import EmbeddingService
from ponant.fine_tuning.registry import ModelRegistry
from ponant.fine_tuning.service import FineTuningService
from ponant.storage.lazy import LazyStorage

logger = logging.getLogger("ponant.server")


@dataclass(frozen=True, slots=True)
class Services:
    """The services of a server.

    The catalog and the storage are closed by the code that opened them. ``running`` closes the rest.

    Attributes:
        background: tasks that run as long as the server, by the names of what they do.
    """

    catalog: Catalog
    storage: LazyStorage
    completions: CompletionStarter
    chat: ChatService
    fim: FimService
    text: TextService
    embeddings: EmbeddingService
    registry: ModelRegistry
    fine_tuning: FineTuningService
    background: Mapping[str, Callable[[], Coroutine[None, None, None]]]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the background tasks in the block, and close the services after it."""
        await self.registry.sync()
        tasks = [asyncio.create_task(run(), name=name) for name, run in self.background.items()]
        for task in tasks:
            task.add_done_callback(_log_failure)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.chat.close()
            await self.completions.close()


def _log_failure(task: asyncio.Task[None]) -> None:
    """Log the failure of a task that should never end."""
    if not task.cancelled() and task.exception():
        logger.error("%s has stopped until the next start", task.get_name(), exc_info=task.exception())
