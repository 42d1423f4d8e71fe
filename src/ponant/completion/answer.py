"""The protocol of an answer in progress."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from ponant.api.chat import ChatCompletionResponse, CompletionChunk


class Answer(Protocol):
    """A request being answered."""

    def chunks(self) -> AsyncIterator[CompletionChunk]:
        """The answer in pieces."""
        ...

    async def collect(self) -> ChatCompletionResponse:
        """The whole answer."""
        ...

    def cancel(self) -> None:
        """Stop generating."""
        ...


Start = Callable[[], Awaitable[Answer]]
"""Begins a completion."""
