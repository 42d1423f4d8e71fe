"""The factory of prompts."""

import asyncio
import functools
from collections.abc import Callable
from typing import TypeVar

from ponant.catalog.loading.loaded import LoadedModel
from ponant.completion.prompting.threads import InterruptibleThreads
from ponant.errors import InvalidRequestError
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.request import PromptRequest

T = TypeVar("T")

_SECONDS = 10.0
"""Longest time for the prompt of a request, in seconds. Chat templates are programs, which may have no end."""


class PromptFactory:
    """Builds the prompts of requests. Each model has threads of its own, so that none holds up another model."""

    def __init__(self) -> None:
        self._threads: dict[str, InterruptibleThreads] = {}

    async def build(self, request: PromptRequest, model: LoadedModel) -> Prompt:
        """Build a prompt. Cancelling the call ends the work.

        Raises:
            InvalidRequestError: the prompt cannot be built, or takes too long.
        """
        return await self.run(model, functools.partial(request.build, model.prompts, model.fim))

    async def run(self, model: LoadedModel, work: Callable[[], T]) -> T:
        """Call a function in a thread of a model. Cancelling the call ends the work.

        Raises:
            InvalidRequestError: it takes too long.
        """
        threads = self._threads.setdefault(model.spec.id, InterruptibleThreads())
        try:
            return await threads.run(work, seconds=_SECONDS)
        except TimeoutError:
            raise InvalidRequestError(
                f"The prompt takes longer than {_SECONDS:g} s to build with the chat template of {model.id}: send "
                "shorter or fewer messages"
            ) from None

    async def close(self) -> None:
        """End the threads."""
        await asyncio.gather(*(threads.close() for threads in self._threads.values()))
