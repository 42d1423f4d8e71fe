"""Places of consecutive tokens in a text."""

import codecs


class TextPlaces:
    """Places of consecutive tokens in the text that their bytes are, in which U+FFFD stands for what is no character.

    Attributes:
        start: index of the first token.
    """

    def __init__(self, start: int = 0) -> None:
        """Begin at an index of the text."""
        self.start = start
        self._next = start
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def place(self, piece: bytes) -> int:
        """Return the index at which the next token begins, or the character that it is a part of."""
        first = len(self._decoder.decode(piece[:1]))
        pending, _ = self._decoder.getstate()
        # The first byte may end a character, or show that the bytes before it are none.
        place = self._next + (first if pending else max(first - 1, 0))
        self._next += first + len(self._decoder.decode(piece[1:]))
        return place
