"""From tokens to text: characters are whole, stop strings end it and never show."""

import codecs
from collections.abc import Callable, Iterable, Sequence


class StopScanner:
    """Finds the first of several stop strings in a text that arrives in pieces.

    The first is the one that is complete first, wherever the pieces are cut; of several that end together it is the
    longest.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """No stop may be empty."""
        self._stops = list(stops)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """Take a piece; returns what may be shown: no stop, nothing after it, no piece that may become one."""
        if not self._stops:
            return text
        if self.found:
            return ""
        text = self._held + text
        found = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        if found:
            self.found = True
            self._held = ""
            _, start = min(found)
            return text[:start]
        shown = len(text) - self._length_that_may_become_a_stop(text)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        """What was held back, once it is known that nothing more comes."""
        held, self._held = self._held, ""
        return held

    def _length_that_may_become_a_stop(self, text: str) -> int:
        longest = max(map(len, self._stops)) - 1
        for length in range(min(longest, len(text)), 0, -1):
            ending = text[-length:]
            if any(stop.startswith(ending) for stop in self._stops):
                return length
        return 0


class TextOutput:
    """The text of one completion, as its tokens arrive."""

    def __init__(self, piece: Callable[[int], bytes], stops: Sequence[str], *, min_tokens: int = 0) -> None:
        """Make an empty text.

        Args:
            piece: the bytes of a token.
            stops: strings that end the text.
            min_tokens: stop strings count only in what comes after that many tokens.
        """
        self._piece = piece
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._scanner = StopScanner(stops)
        self._min_tokens = min_tokens
        self.tokens = 0

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self._scanner.found

    def push(self, tokens: Iterable[int]) -> str:
        """Take new tokens; returns the text that may be shown now. Those after a stop string do not count."""
        shown = ""
        for token in tokens:
            if self.stopped:
                break
            self.tokens += 1
            text = self._decoder.decode(self._piece(token))
            shown += self._scanner.push(text) if self.tokens > self._min_tokens else text
        return shown

    def finish(self) -> str:
        """What is left to show once no more tokens come."""
        if self.stopped:
            return ""
        rest = self._decoder.decode(b"", final=True)
        return self._scanner.push(rest) + self._scanner.flush()
