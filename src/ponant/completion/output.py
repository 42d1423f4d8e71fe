"""Output of a completion: from tokens to the parts of an answer.

An incomplete UTF-8 character at the end is left out, so that a truncated answer is a prefix of the full one.
"""

import codecs
from collections.abc import Callable, Iterable, Sequence

from ponant.completion.parts import Part, Text
from ponant.completion.reader import AnswerReader
from ponant.completion.stops import StopScanner
from ponant.prompts.answer.output_format import PLAIN, OutputFormat


class AnswerOutput:
    """Decoder of one choice: from token ids to text, thinking and calls. Stop strings are matched in the text only.

    Attributes:
        tokens: number of tokens so far, without those after the end.
    """

    def __init__(
        self,
        piece: Callable[[int], bytes],
        stops: Sequence[str] = (),
        *,
        min_tokens: int = 0,
        output_format: OutputFormat = PLAIN,
    ) -> None:
        """Start without tokens.

        Args:
            piece: returns the bytes of a token.
            stops: strings that end the text; none may be empty.
            min_tokens: number of first tokens in whose text stop strings are ignored.
            output_format: format of thinking and calls.
        """
        self._piece = piece
        self._controls = output_format.controls
        self._end_tokens = output_format.end_tokens
        self._filter = output_format.filter() if output_format.filter else None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._in_character = False
        self._reader = AnswerReader(output_format)
        self._scanner = StopScanner(stops)
        self._min_tokens = min_tokens
        self._may_have_calls = output_format.calls is not None
        structured = output_format.thinking or output_format.calls or output_format.filter
        self._is_plain = not structured and not stops
        self._blank = ""
        self._ended = False
        self.tokens = 0

    @property
    def stopped(self) -> bool:
        """True if a stop string or an end token was found. Further tokens are ignored."""
        return self._scanner.found or self._ended

    @property
    def ended(self) -> bool:
        """True if an end token was found, or the end of a filling."""
        return self._ended

    def push(self, tokens: Iterable[int]) -> list[Part]:
        """Decode tokens and return the parts that can be shown. Tokens after a stop string are not counted."""
        if self._is_plain:
            return self._plain(tokens)
        parts: list[Part] = []
        for token in tokens:
            if self.stopped:
                break
            if token in self._end_tokens:
                parts += self._finish()
                self._ended = True
                break
            self.tokens += 1
            control = self._controls.get(token)
            read = (
                self._reader.push(self._text(self._piece(token)))
                if control is None
                else self._reader.push(control, control=True)
            )
            parts += self._scanned(read) if self.tokens > self._min_tokens else self._unscanned(read)
        return self._without_blank_end(parts, is_end=self.stopped) if self._may_have_calls else parts

    def _plain(self, tokens: Iterable[int]) -> list[Part]:
        """Return the text of tokens: there are no stop strings, and nothing but text."""
        text = ""
        for token in tokens:
            self._ended = self._ended or token in self._end_tokens
            if self._ended:
                break
            self.tokens += 1
            if token not in self._controls:
                text += self._text(self._piece(token))
        return [Text(text)] if text else []

    def _text(self, piece: bytes) -> str:
        """Return the characters that a token's bytes complete."""
        if piece.isascii() and not self._in_character:
            return piece.decode("ascii")
        text = self._decoder.decode(piece)
        self._in_character = bool(self._decoder.getstate()[0])
        return text

    def finish(self) -> list[Part]:
        """Return the held parts at the end of the tokens."""
        return self._without_blank_end(self._finish(), is_end=True)

    def _finish(self) -> list[Part]:
        if self.stopped:
            return []
        parts = self._scanned(self._reader.finish())
        if self._filter and not self.stopped:
            parts += self._shown(self._filter.finish())
        held = self._scanner.flush()
        return [*parts, Text(held)] if held else parts

    def _scanned(self, parts: list[Part]) -> list[Part]:
        """Return the parts up to the first stop string."""
        shown: list[Part] = []
        for part in parts:
            if isinstance(part, Text):
                shown += self._shown(self._filter.push(part.text) if self._filter else part.text)
                self._ended = self._ended or (self._filter is not None and self._filter.finished)
            else:
                held = self._scanner.flush()
                shown += [Text(held), part] if held else [part]
            if self.stopped:
                break
        return shown

    def _unscanned(self, parts: list[Part]) -> list[Part]:
        """Return the parts without matching stop strings."""
        if not self._filter:
            return parts
        texts = [Text(self._filter.push(part.text)) if isinstance(part, Text) else part for part in parts]
        return [part for part in texts if not isinstance(part, Text) or part.text]

    def _shown(self, text: str) -> list[Part]:
        shown = self._scanner.push(text)
        return [Text(shown)] if shown else []

    def _without_blank_end(self, parts: list[Part], *, is_end: bool) -> list[Part]:
        """Return the parts without the white space at the end of a text: it is dropped if a call follows."""
        shown: list[Part] = []
        for part in parts:
            if isinstance(part, Text) and self._may_have_calls:
                text = self._blank + part.text
                end = len(text.rstrip())
                shown += [Text(text[:end])] if end else []
                self._blank = text[end:]
            else:
                shown.append(part)
                self._blank = ""
        if is_end and self._blank:
            shown.append(Text(self._blank))
            self._blank = ""
        return shown
