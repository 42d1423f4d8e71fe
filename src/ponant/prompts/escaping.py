"""Escaping of message text, so that it never becomes a control token of the chat template."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

# Unicode noncharacters, reserved for internal use: text does not normally contain them.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
# The same as JSON escapes, written by templates that print a whole object.
_JSON_OPEN, _JSON_CLOSE = r"\ufdd0", r"\ufdd1"
_MARK = re.compile("|".join(map(re.escape, (_OPEN, _CLOSE, _JSON_OPEN, _JSON_CLOSE))))


class Escaping:
    """Marks in message text that prevent it from being tokenised as one of the ``controls``.

    ``controls`` are the texts of control tokens and of other tokens that structure conversations. Only text that
    contains such a text, or could form one together with adjacent text, is marked. Templates see other text unchanged.
    """

    def __init__(self, controls: Iterable[str]) -> None:
        self._controls = sorted(filter(None, controls), key=len, reverse=True)
        self._joined = _OPEN.join(self._controls)
        self._longest = len(self._controls[0]) if self._controls else 0
        self._beginnings = {control[:end] for control in self._controls for end in range(1, len(control))}
        self._endings = {control[start:] for control in self._controls for start in range(1, len(control))}

    def escape(self, text: str) -> str:
        """Return the text with marks around control token texts, and around ends that could become part of one."""
        text = _MARK.sub("\ufffd", text)
        present = [control for control in self._controls if control in text]
        if present:
            text = re.sub("|".join(map(re.escape, present)), lambda match: _marked(match[0]), text)
        return self._with_marked_ends(text)

    def parts(self, marked: str) -> Iterator[tuple[str, bool]]:
        """Yield the parts of a rendered prompt without marks, each with True if it may contain control tokens."""
        text, escaped = self._without_marks(marked)
        end = 0
        for start, stop in self._forged(text, escaped):
            if end < start:
                yield text[end:start], True
            yield text[max(start, end) : stop], False
            end = stop
        if end < len(text):
            yield text[end:], True

    def _with_marked_ends(self, text: str) -> str:
        """Mark the ends of a text, ignoring whitespace around it, which many templates strip."""
        inner = text.strip() or text
        start = text.find(inner)
        return text[:start] + self._with_marked_inner_ends(inner) + text[start + len(inner) :]

    def _with_marked_inner_ends(self, text: str) -> str:
        if len(text) < self._longest and any(text in control for control in self._controls):
            return _marked(text)
        lengths = range(min(self._longest - 1, len(text)), 0, -1)
        head = next((length for length in lengths if text[:length] in self._endings), 0)
        tail = next((length for length in lengths if text[-length:] in self._beginnings), 0)
        middle = max(head, len(text) - tail)
        return _marked(text[:head]) + text[head:middle] + _marked(text[middle:])

    def _forged(self, text: str, escaped: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the ranges of control token texts that overlap an escaped range."""
        if not escaped:
            return []
        starts = [start for start, _ in escaped]

        def touches_escaped(start: int, stop: int) -> bool:
            before = bisect_left(starts, stop) - 1
            return before >= 0 and escaped[before][1] > start

        return sorted(
            (start, start + len(control))
            for control in self._controls
            for start in _positions(control, text)
            if touches_escaped(start, start + len(control))
        )

    def _without_marks(self, marked: str) -> tuple[str, list[tuple[int, int]]]:
        """Return the text without marks, and the ranges that were between marks.

        A template that cuts text at a control token leaves one mark of a pair. The template's own text up to the next
        mark is not part of a single token and is ignored.
        """
        texts: list[str] = []
        escaped: list[tuple[int, int]] = []
        position = 0
        inside = False
        for piece in re.split(f"({_MARK.pattern})", marked):
            if _MARK.fullmatch(piece):
                inside = piece in (_OPEN, _JSON_OPEN)
            elif piece:
                texts.append(piece)
                if inside and piece in self._joined:
                    escaped.append((position, position + len(piece)))
                position += len(piece)
        return "".join(texts), escaped


def _marked(text: str) -> str:
    return f"{_OPEN}{text}{_CLOSE}" if text else ""


def _positions(part: str, text: str) -> Iterator[int]:
    position = text.find(part)
    while position >= 0:
        yield position
        position = text.find(part, position + 1)
