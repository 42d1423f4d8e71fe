"""One choice of a completion as a stream has it."""

from collections.abc import Callable

from ponant.api.chat import ChoiceLogprobs, CompletionResponseStreamChoice, DeltaMessage, TokenLogprob
from ponant.completion.answer import TextPiece
from ponant.completion.calls import CallHolder, CallStyle
from ponant.completion.choice import Update
from ponant.completion.message import delta_message
from ponant.completion.parts import Text, Thought


class ChoiceStream:
    """Writes the pieces of one choice."""

    def __init__(self, index: int, *, in_chunks: bool, call_id: Callable[[int], str], calls: CallStyle) -> None:
        """Write a choice.

        Args:
            index: index of the choice.
            in_chunks: as for ``delta_message``.
            call_id: as for ``delta_message``.
            calls: form of calls.
        """
        self._index = index
        self._in_chunks = in_chunks
        self._call_id = call_id
        self._calls = CallHolder(calls)
        self._logprobs: list[TokenLogprob] = []

    def beginning(
        self, prefix: str, prompt_logprobs: list[TokenLogprob] | None, *, is_text: bool
    ) -> CompletionResponseStreamChoice:
        """Return the first piece: the role, and the forced beginning of the answer.

        Args:
            prefix: the forced beginning; empty for none.
            prompt_logprobs: log-probabilities of the prompt, if they were asked for.
            is_text: True if they are part of those of the answer, as its beginning is the prompt.
        """
        delta = DeltaMessage(role="assistant", content=prefix)
        piece = CompletionResponseStreamChoice(index=self._index, delta=delta, finish_reason=None)
        if prompt_logprobs is not None and is_text:
            piece.logprobs = ChoiceLogprobs(content=prompt_logprobs)
        elif prompt_logprobs is not None:
            piece.prompt_logprobs = ChoiceLogprobs(content=prompt_logprobs)
        return piece

    def text_piece(self, update: Update) -> TextPiece | None:
        """Return the text of an update that adds nothing else; None for any other update."""
        if update.finish or update.logprobs or self._logprobs or len(update.parts) != 1:
            return None
        part = update.parts[0]
        return (
            TextPiece(self._index, part.text, isinstance(part, Thought)) if isinstance(part, Text | Thought) else None
        )

    def choice_of(self, piece: TextPiece) -> CompletionResponseStreamChoice:
        """Return the whole piece of some text."""
        part = Thought(piece.text) if piece.is_thought else Text(piece.text)
        delta = delta_message([part], in_chunks=self._in_chunks, call_id=self._call_id)
        return CompletionResponseStreamChoice(index=self._index, delta=delta, finish_reason=None)

    def push(self, update: Update) -> CompletionResponseStreamChoice | None:
        """Return the piece that an update adds; None if there is nothing to send yet."""
        self._logprobs += update.logprobs
        parts = self._calls.push(update.parts, is_end=update.finish is not None)
        if parts is None:
            return None
        delta = delta_message(parts, in_chunks=self._in_chunks, call_id=self._call_id)
        piece = CompletionResponseStreamChoice(index=self._index, delta=delta, finish_reason=update.finish)
        if self._logprobs:
            piece.logprobs = ChoiceLogprobs(content=self._logprobs)
            self._logprobs = []
        return piece
