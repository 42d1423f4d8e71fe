"""Stop strings in a text that arrives in pieces."""

from collections.abc import Sequence

from ponant.completion.partial import partial_length


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
        shown = len(text) - max(partial_length(text, stop) for stop in self._stops)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        """What was held back, once it is known that nothing more comes."""
        held, self._held = self._held, ""
        return held
