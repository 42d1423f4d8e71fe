"""Stop strings in a text that arrives in pieces."""

from collections.abc import Sequence


class StopScanner:
    """Scanner for the first of several stop strings in a text that arrives in pieces.

    The first stop string is the one that ends first; of several that end together it is the longest. The pieces do not
    change the result. The time for a text is proportional to its length and the number of stop strings, not to the
    lengths of these.

    Attributes:
        found: True if a stop string was found.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Scan for stop strings, none of which may be empty."""
        self._matches = [_Match(stop) for stop in dict.fromkeys(stops)]
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """Scan a piece and return the text that can be shown: up to a stop string, and without the beginning of one."""
        if not self._matches:
            return text
        if self.found:
            return ""
        found = [(end, -match.length) for match in self._matches if (end := match.push(text)) is not None]
        text, before = self._held + text, len(self._held)
        if found:
            self.found = True
            self._held = ""
            end, length = min(found)
            return text[: before + end + length]
        shown = len(text) - max(match.matched for match in self._matches)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        """Return the held text at the end of the text."""
        held, self._held = self._held, ""
        for match in self._matches:
            match.matched = 0
        return held


class _Match:
    """Match of a stop string with the end of a text, by the algorithm of Knuth, Morris and Pratt.

    Attributes:
        length: length of the stop string.
        matched: length of its longest beginning that the text ends with.
    """

    def __init__(self, stop: str) -> None:
        self.length = len(stop)
        self.matched = 0
        self._stop = stop
        self._borders = [0]
        """Length of the longest beginning of the stop string that ends its first characters but is not all of them, by
        the number of these less one. Entries are added as the text needs them."""

    def push(self, text: str) -> int | None:
        """Read a piece of the text. Returns the end of the stop string in the piece; None if it does not end there."""
        matched, stop = self.matched, self._stop
        place = 0
        while place < len(text):
            if not matched:
                place = text.find(stop[0], place)
                if place < 0:
                    break
            character = text[place]
            while matched and stop[matched] != character:
                matched = self._border(matched)
            matched += stop[matched] == character
            place += 1
            if matched == self.length:
                return place
        self.matched = matched
        return None

    def _border(self, length: int) -> int:
        """Return the length of the longest border of the first ``length`` characters of the stop string."""
        stop, borders = self._stop, self._borders
        while len(borders) < length:
            character = stop[len(borders)]
            border = borders[-1]
            while border and stop[border] != character:
                border = borders[border - 1]
            borders.append(border + (stop[border] == character))
        return borders[length - 1]
