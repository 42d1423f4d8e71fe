"""The protocol of an answer in progress."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from ponant.api.chat import ChatCompletionResponse, CompletionChunk
from ponant.completion.calls import CallStyle
from ponant.completion.figures import AnswerFigures


class Answer(Protocol):
    """A request being answered: iterate over ``chunks`` once, or call ``collect`` once."""

    @property
    def figures(self) -> AnswerFigures:
        """Figures of the answer so far."""
        ...

    def chunks(self, calls: CallStyle = "whole", *, running_usage: bool = False) -> AsyncIterator[CompletionChunk]:
        """Return the answer in pieces. An error of the engine, even a refusal, may come as late as here.

        Args:
            calls: form of calls.
            running_usage: True to put the usage so far into every chunk.
        """
        ...

    async def collect(self) -> ChatCompletionResponse:
        """Return the whole answer. Raises as ``chunks``."""
        ...

    def cancel(self) -> None:
        """Stop generating. May be called at any time and more than once."""
        ...


Start = Callable[[], Awaitable[Answer]]
"""Starts an answer."""
