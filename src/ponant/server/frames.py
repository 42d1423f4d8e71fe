"""Frames of a stream: the bytes of its events, in the dialect of the request."""

import functools

from msgspec import structs
from pydantic_core import to_json

from ponant.api.chat import CompletionChunk
from ponant.completion.answer import Answer, Piece, TextPiece
from ponant.server.dialects.base import Answers
from ponant.server.serialization import serialised

_SEPARATORS = tuple((character.encode(), f"\\u{ord(character):04x}".encode()) for character in "\x85\u2028\u2029")
"""Characters that are legal in JSON, and that clients take for ends of lines, as ``str.splitlines`` does."""
_MARK = "d0c5bd2c8f5b4d0c9f0c2b9f6a0d5c1e"
"""Text in whose place the text of a piece is put."""

_Frame = tuple[bytes, bytes]
"""Bytes before and after the text of a piece."""


class Frames:
    """Writer of the events of one stream.

    Most chunks of a stream differ in their text alone. The event of such a chunk is prepared once, from a whole chunk
    that the dialect has translated; only the text is written anew.
    """

    def __init__(self, answer: Answer, answers: Answers) -> None:
        """Write the events of an answer.

        Args:
            answer: the answer.
            answers: its writer in the dialect of the request.
        """
        self._answer = answer
        self._answers = answers
        self._prepared: dict[tuple[int, bool], _Frame | None] = {}

    async def of(self, piece: Piece) -> bytes:
        """Return the events of a piece, which are made in a thread if there are many log-probabilities."""
        if isinstance(piece, TextPiece):
            return self.of_text(piece)
        return await serialised(piece.choices, functools.partial(self._of_chunk, piece))

    def of_text(self, piece: TextPiece) -> bytes:
        """Return the events of a piece that only adds text."""
        kind = piece.choice, piece.is_thought
        if kind not in self._prepared:
            self._prepared[kind] = self._prepare(piece)
        frame = self._prepared[kind]
        if frame is None:
            return self._of_chunk(self._answer.chunk_of(piece))
        return frame[0] + _escaped(to_json(piece.text)[1:-1]) + frame[1]

    def _of_chunk(self, chunk: CompletionChunk) -> bytes:
        return b"".join(framed(self._answers, event) for event in self._answers.events(chunk))

    def _prepare(self, piece: TextPiece) -> _Frame | None:
        """Return the frame of all pieces like this one; None if the text has not exactly one place in it."""
        parts = self._of_chunk(self._answer.chunk_of(structs.replace(piece, text=_MARK))).split(_MARK.encode())
        return (parts[0], parts[1]) if len(parts) == 2 else None


def framed(answers: Answers, event: bytes) -> bytes:
    """Return the bytes of an event in a stream, given its JSON, in which separators of lines are escaped."""
    return answers.framed(_escaped(event))


def _escaped(event: bytes) -> bytes:
    if not event.isascii():
        for separator, escaped in _SEPARATORS:
            event = event.replace(separator, escaped)
    return event
