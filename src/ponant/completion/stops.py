"""Stop strings in a text that arrives in pieces."""

from collections.abc import Sequence

from ponant.completion.partial import partial_length


class StopScanner:
    """Scanner for the first of several stop strings in a text that arrives in pieces.

    The first stop string is the one that ends first; of several that end together it is the longest. The pieces do not
    change the result.

    Attributes:
        found: True if a stop string was found.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Scan for stop strings, none of which may be empty."""
        self._stops = list(stops)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """Scan a piece and return the text that can be shown: up to a stop string, and without the beginning of one."""
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
        shown = len(text) - max(partial_length(text, stop) for stop in self._stops)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        """Return the held text at the end of the text."""
        held, self._held = self._held, ""
        return held
