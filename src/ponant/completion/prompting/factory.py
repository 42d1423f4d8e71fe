"""The factory of prompts."""

import asyncio
import functools
from collections.abc import Callable
from typing import TypeVar

from ponant.catalog.loading.loaded import LoadedModel
from ponant.catalog.spec import LOCAL
from ponant.completion.prompting.helper import PromptHelper
from ponant.completion.prompting.pipe import PromptSource
from ponant.completion.prompting.threads import InterruptibleThreads
from ponant.errors import InvalidRequestError
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.request import PromptRequest

T = TypeVar("T")

_LARGE = 256 * 2**10
"""Size in bytes above which prompts are built in the helper."""
_SECONDS = 10.0
"""Longest time for the prompt of a request, in seconds. Chat templates are programs, which may have no end."""


class PromptFactory:
    """Builds the prompts of requests. Each model has threads of its own, so that none holds up another model.

    Attributes:
        helper: builder of long prompts.
    """

    def __init__(self) -> None:
        self.helper = PromptHelper()
        self._threads: dict[str, InterruptibleThreads] = {}

    async def build(self, request: PromptRequest, model: LoadedModel) -> Prompt:
        """Build a prompt. Cancelling the call ends the work.

        Raises:
            InvalidRequestError: the prompt cannot be built, or takes too long.
        """
        if model.spec.loader == LOCAL and request.exceeds(_LARGE):
            spec = model.spec
            source = PromptSource(spec.id, spec.weights, model.engine.limits.context, spec.tokenizer)
            return await self.helper.build(request, source, self._threads_of(model))
        return await self.run(model, functools.partial(request.build, model.prompts, model.fim))

    async def run(self, model: LoadedModel, work: Callable[[], T]) -> T:
        """Call a function in a thread of a model. Cancelling the call ends the work.

        Raises:
            InvalidRequestError: it takes too long.
        """
        try:
            return await self._threads_of(model).run(work, seconds=_SECONDS)
        except TimeoutError:
            raise InvalidRequestError(
                f"The prompt takes longer than {_SECONDS:g} s to build with the chat template of {model.id}: send "
                "shorter or fewer messages"
            ) from None

    async def close(self) -> None:
        """End the threads and the helper."""
        await asyncio.gather(self.helper.close(), *(threads.close() for threads in self._threads.values()))

    def _threads_of(self, model: LoadedModel) -> InterruptibleThreads:
        return self._threads.setdefault(model.spec.id, InterruptibleThreads())
