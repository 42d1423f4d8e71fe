"""Several completions joined to one."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from msgspec import structs

from ponant.api.base import UsageInfo
from ponant.api.chat import ChatCompletionResponse, CompletionChunk
from ponant.completion.answer import Piece, TextPiece, Write
from ponant.completion.calls import CallStyle
from ponant.completion.completion import Completion
from ponant.completion.figures import AnswerFigures, total_figures
from ponant.completion.usage import total_usage


class JoinedCompletions:
    """Several completions as one answer, whose choices are numbered in the order of the completions."""

    def __init__(self, completions: Sequence[Completion], *, choices: int) -> None:
        """Join started completions with ``choices`` choices each."""
        self._completions = completions
        self._choices = choices

    @property
    def figures(self) -> AnswerFigures:
        """Figures of all completions so far."""
        return total_figures([completion.figures for completion in self._completions])

    async def chunks(
        self, calls: CallStyle = "whole", *, running_usage: bool = False, write: Write | None = None
    ) -> AsyncIterator[Piece]:
        """Yield the pieces of all completions as they arrive, with the usage in the last one.

        Arguments and errors as for ``Completion.chunks``; ``write`` is not called.
        """
        queue = asyncio.Queue[tuple[int, Piece] | Exception | None]()
        followers = [
            asyncio.create_task(self._follow(number, completion.chunks(calls, running_usage=running_usage), queue))
            for number, completion in enumerate(self._completions)
        ]
        usages: dict[int, UsageInfo] = {}
        try:
            running = len(followers)
            while running:
                event = await queue.get()
                if isinstance(event, Exception):
                    raise event
                if event is None:
                    running -= 1
                    continue
                number, chunk = event
                if isinstance(chunk, TextPiece):
                    yield chunk
                    continue
                if chunk.usage:
                    usages[number] = chunk.usage
                has_usage = running_usage or len(usages) == len(followers)
                yield self._chunk(chunk, total_usage(usages.values()) if has_usage else None)
        finally:
            self.cancel()
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)

    async def collect(self) -> ChatCompletionResponse:
        """Return the whole response. Raises as ``chunks``."""
        collecting = [asyncio.create_task(completion.collect()) for completion in self._completions]
        try:
            responses = await asyncio.gather(*collecting)
        finally:
            self.cancel()
            await asyncio.gather(*collecting, return_exceptions=True)
        joined = responses[0]
        for number, response in enumerate(responses):
            for choice in response.choices:
                choice.index += number * self._choices
        joined.choices = [choice for response in responses for choice in response.choices]
        joined.usage = total_usage(response.usage for response in responses)
        return joined

    def chunk_of(self, piece: TextPiece) -> CompletionChunk:
        """Return a piece of the answer as a whole chunk."""
        number, index = divmod(piece.choice, self._choices)
        chunk = self._completions[number].chunk_of(structs.replace(piece, choice=index))
        _renumber(chunk, number * self._choices)
        return self._chunk(chunk, None)

    def cancel(self) -> None:
        """Stop generating."""
        for completion in self._completions:
            completion.cancel()

    async def _follow(
        self,
        number: int,
        pieces: AsyncIterator[Piece],
        queue: asyncio.Queue[tuple[int, Piece] | Exception | None],
    ) -> None:
        try:
            async for piece in pieces:
                queue.put_nowait((number, _renumbered(piece, number * self._choices)))
            queue.put_nowait(None)
        except Exception as error:
            queue.put_nowait(error)

    def _chunk(self, chunk: CompletionChunk, usage: UsageInfo | None) -> CompletionChunk:
        first = self._completions[0]
        same = CompletionChunk(
            id=first.id, object=chunk.object, created=first.created, model=first.model, choices=chunk.choices
        )
        if usage:
            same.usage = usage
        return same


def _renumbered(piece: Piece, first: int) -> Piece:
    """Return a piece whose choices are counted from ``first``."""
    if isinstance(piece, TextPiece):
        return structs.replace(piece, choice=piece.choice + first)
    _renumber(piece, first)
    return piece


def _renumber(chunk: CompletionChunk, first: int) -> None:
    for choice in chunk.choices:
        choice.index += first
