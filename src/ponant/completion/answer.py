"""The protocol of an answer in progress."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import msgspec

from ponant.api.chat import ChatCompletionResponse, CompletionChunk
from ponant.completion.calls import CallStyle
from ponant.completion.figures import AnswerFigures


class TextPiece(msgspec.Struct, frozen=True):
    """A chunk of a stream that adds text to one choice and nothing else. Most chunks are of this kind.

    Attributes:
        choice: index of the choice.
        text: the text, which is not empty.
        is_thought: True if it belongs to the thinking.
    """

    choice: int
    text: str
    is_thought: bool


Piece = CompletionChunk | TextPiece
"""A piece of a stream."""

Write = Callable[[TextPiece], bool]
"""Writes a piece to the client at once; returns False if that is not possible now."""


class Answer(Protocol):
    """A request being answered: iterate over ``chunks`` once, or call ``collect`` once."""

    @property
    def figures(self) -> AnswerFigures:
        """Figures of the answer so far."""
        ...

    def chunks(
        self, calls: CallStyle = "whole", *, running_usage: bool = False, write: Write | None = None
    ) -> AsyncIterator[Piece]:
        """Return the answer in pieces. An error of the engine, even a refusal, may come as late as here.

        Args:
            calls: form of calls.
            running_usage: True to put the usage so far into every chunk. All pieces are then whole chunks.
            write: called with a piece when it arrives, if all pieces before it were taken. The pieces that it writes
                are not returned.
        """
        ...

    def chunk_of(self, piece: TextPiece) -> CompletionChunk:
        """Return a piece of the answer as a whole chunk."""
        ...

    async def collect(self) -> ChatCompletionResponse:
        """Return the whole answer. Raises as ``chunks``."""
        ...

    def cancel(self) -> None:
        """Stop generating. May be called at any time and more than once."""
        ...


Start = Callable[[], Awaitable[Answer]]
"""Starts an answer."""
