"""The factory of prompts."""

import asyncio
import functools
import time
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
_SMALL = 4 * 2**10
"""Size in bytes up to which quick prompts are built on the event loop. A thread costs more time for these."""
_LONGEST_PAUSE = 0.01
"""Seconds of processor time of a quick prompt after which a model's prompts are built in threads."""
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
        self._quick: dict[str, bool] = {}
        """Models that have built a prompt, and True if none of their quick ones took long."""

    async def build(self, request: PromptRequest, model: LoadedModel) -> Prompt:
        """Build a prompt. Cancelling the call ends the work.

        Raises:
            InvalidRequestError: the prompt cannot be built, or takes too long.
        """
        spec = model.spec
        if self._quick.get(spec.id) and request.is_quick(model.prompts) and not request.exceeds(_SMALL):
            return self._build_here(request, model)
        if spec.loader == LOCAL and request.exceeds(_LARGE):
            source = PromptSource(spec.id, spec.weights, model.engine.limits.context, spec.tokenizer)
            return await self.helper.build(request, source, self._threads_of(model))
        prompt = await self.run(model, functools.partial(request.build, model.prompts, model.fim))
        self._quick.setdefault(spec.id, True)  # the first prompt also finds out what the template can express
        return prompt

    def _build_here(self, request: PromptRequest, model: LoadedModel) -> Prompt:
        """Build a prompt on the event loop."""
        began = time.thread_time()
        try:
            return request.build(model.prompts, model.fim)
        finally:
            self._quick[model.spec.id] = time.thread_time() - began < _LONGEST_PAUSE

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
