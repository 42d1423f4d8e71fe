"""Extraction of the filling, the text between a prompt and a suffix, from a model's answer."""

import re

_FENCE = re.compile(r"\s*(`{3,})[^`\n]*\n")
_BEGINNING_OF_FENCE = re.compile(r"\s*(?:`{0,2}|`{3,}[^`\n]*)")
_LINE_THAT_MAY_CLOSE = re.compile(r"[ \t]*`*[ \t\r]*")

_REPEATED_LINES = 16
_LONGEST_REPETITION = 4000
_LONGEST_ANCHOR = 400
_LONGEST_SPACE = 100
_FEWEST_LETTERS = 4
"""Minimum letters and digits of a repetition: brackets and the like often recur legitimately."""
_CERTAIN_LETTERS = 8
"""Minimum letters and digits of the suffix's lines that end the filling before the answer ends."""
_CERTAIN_LINES = 2
"""Minimum number of those lines: a single line, such as a ``return``, may be part of the filling."""


class FillReader:
    """Filter that extracts the filling from the answer of a chat model.

    It removes a Markdown fence, the prompt's last lines if the answer repeats them before the filling, and the suffix
    if the answer continues with it. The result does not depend on the pieces in which the answer arrives.
    """

    def __init__(self, prompt: str, suffix: str, *, begun: str = "") -> None:
        """Extract the text between a prompt and a suffix.

        Args:
            prompt: text before the filling.
            suffix: text after the filling.
            begun: forced beginning of the answer: empty, or a fence, a newline and text.
        """
        fills_lines = not prompt.rpartition("\n")[2].strip() and bool(suffix.partition("\n")[0].strip())
        self._fence = _FenceReader(begun, keeps_newline=fills_lines)
        self._beginning = _RepeatedBeginning(prompt)
        self._ending = SuffixReader(prompt, suffix)
        self._ended = False

    @property
    def finished(self) -> bool:
        """True if the filling has ended and the rest of the answer is to be ignored."""
        return self._ended or self._ending.finished

    def push(self, text: str) -> str:
        """Take a piece of the answer; returns the text of the filling that can be shown now."""
        if self.finished:
            return ""
        shown = self._ending.push(self._beginning.push(self._fence.push(text)))
        return shown + self._end() if self._fence.closed else shown

    def finish(self) -> str:
        """Return the remaining text of the filling at the end of the answer."""
        if self.finished:
            return ""
        return self._ending.push(self._beginning.push(self._fence.finish())) + self._end()

    def _end(self) -> str:
        self._ended = True
        return self._ending.push(self._beginning.finish()) + self._ending.finish()


class SuffixReader:
    """Filter that cuts a text off where it continues with the suffix.

    The filling ends at the first lines of the suffix with their indentation, enough of them to exclude coincidence. At
    the end of the text, a few letters suffice. Lines that the prompt contains as well do not count.

    Attributes:
        finished: True if the filling has ended and the rest of the answer is to be ignored.
    """

    def __init__(self, prompt: str, suffix: str) -> None:
        """Extract the text between a prompt and a suffix."""
        self._prompt = prompt
        core = suffix.lstrip()
        self._space = suffix[: len(suffix) - len(core)][-_LONGEST_SPACE:]
        _, newline, indentation = self._space.rpartition("\n")
        self._before = newline + indentation
        self._core = f"{core}\n"[:_LONGEST_ANCHOR] if core else ""
        self._anchor = _first_lines(self._core, prompt)
        self._longest = len(self._anchor or self._core)
        self._text = ""
        self._shown = 0
        self.finished = False

    def push(self, text: str) -> str:
        """Take a piece of the text; returns the text of the filling that can be shown now."""
        if self.finished:
            return ""
        start = max(0, len(self._text) - self._longest)
        self._text += text
        while self._anchor and (start := self._text.find(self._anchor, start)) >= 0:
            if self._may_begin(start):
                self.finished = True
                return self._show(self._end_before(start))
            start += 1
        tail = self._text[max(0, len(self._text) - len(self._space)) :]
        blank = len(tail) - len(tail.rstrip())
        return self._show(min(len(self._text) - blank, self._end_before(self._last_repetition())))

    def finish(self) -> str:
        """Return the remaining text of the filling at the end of the answer."""
        if self.finished:
            return ""
        start = self._last_repetition()
        repeated = self._text[start:]
        counts = _letters(repeated) >= _FEWEST_LETTERS and repeated.rstrip() not in self._prompt
        return self._show(self._end_before(start) if counts else len(self._text))

    def _last_repetition(self) -> int:
        """Return the position from which the text is a beginning of the suffix, or the end of the text."""
        start = len(self._text) - self._longest
        while self._core and (start := self._text.find(self._core[0], max(0, start))) >= 0:
            if self._core.startswith(self._text[start:]) and self._may_begin(start):
                return start
            start += 1
        return len(self._text)

    def _may_begin(self, start: int) -> bool:
        """Return True if the suffix's indentation, or only white space, precedes a position."""
        return self._text.endswith(self._before, 0, start) or not self._text[:start].strip()

    def _end_before(self, start: int) -> int:
        """Return the end of the filling before the suffix's leading white space, for a suffix at ``start``."""
        return start - _common(self._text[max(0, start - len(self._space)) : start][::-1], self._space[::-1])

    def _show(self, end: int) -> str:
        shown = self._text[self._shown : end]
        self._shown = max(self._shown, end)
        return shown


class _FenceReader:
    """Filter that extracts the text inside a Markdown fence, or all text if there is no fence."""

    def __init__(self, begun: str, *, keeps_newline: bool) -> None:
        """Keep the newline before the closing fence if ``keeps_newline`` is set."""
        self._keeps_newline = keeps_newline
        self._held = ""
        self._unseen = 0
        self._read = self._read_beginning
        self.closed = False
        if begun:
            self._open(len(begun) - len(begun.lstrip("`")), in_new_line=begun.endswith("\n"))

    def push(self, text: str) -> str:
        """Take a piece of text; returns the text that can be shown now."""
        self._held += text
        return self._read()

    def finish(self) -> str:
        """Return the text held back, without a fence."""
        if self._read == self._read_inside:
            closing = self._closing.search(self._held + "\n")
            return self._show(self._end_before(closing) if closing else len(self._held))
        is_fence = _BEGINNING_OF_FENCE.fullmatch(self._held) and "```" in self._held
        return "" if is_fence else self._show(len(self._held))

    def _read_beginning(self) -> str:
        fence = _FENCE.match(self._held)
        if fence:
            self._held = self._held[fence.end() :]
            self._open(len(fence[1]), in_new_line=True)
        elif _BEGINNING_OF_FENCE.fullmatch(self._held):
            return ""
        else:
            self._read = self._read_all
        return self._read()

    def _open(self, ticks: int, *, in_new_line: bool) -> None:
        """Read the text inside. In a new line, a newline is put before it to find line starts, and not shown."""
        self._closing = re.compile(rf"\n[ \t]*`{{{ticks},}}[ \t\r]*\n")
        self._read = self._read_inside
        if in_new_line:
            self._held = "\n" + self._held
            self._unseen = 1

    def _read_inside(self) -> str:
        closing = self._closing.search(self._held)
        if closing:
            self.closed = True
            return self._show(self._end_before(closing))
        last = self._held.rfind("\n")
        may_close = last >= 0 and _LINE_THAT_MAY_CLOSE.fullmatch(self._held, last + 1)
        return self._show(last if may_close else len(self._held))

    def _read_all(self) -> str:
        return self._show(len(self._held))

    def _end_before(self, closing: re.Match[str]) -> int:
        return closing.start() + (1 if self._keeps_newline else 0)

    def _show(self, end: int) -> str:
        shown = self._held[self._unseen : end]
        self._held = self._held[end:]
        self._unseen = self._unseen if end == 0 else 0
        return shown


class _RepeatedBeginning:
    """Filter that removes a repetition of the prompt's end from the beginning of a text."""

    def __init__(self, prompt: str) -> None:
        head = prompt.rstrip(" \t")
        self._space = prompt[len(head) :]
        self._repetitions = _endings(head)
        self._held = ""
        self._read = self._read_repetition

    def push(self, text: str) -> str:
        """Take a piece of text; returns the text that can be shown now."""
        self._held += text
        return self._read()

    def finish(self) -> str:
        """Return the text held back, without a repetition."""
        text = self._held.lstrip("\n")
        if self._read == self._read_repetition and text:
            if any(text.rstrip() == repetition.rstrip() for repetition in self._repetitions):
                return ""
            self._leave_out(text)
        if self._read == self._read_space:
            self._held = self._held[_common(self._held, self._space) :]
        return self._read_all()

    def _read_repetition(self) -> str:
        text = self._held.lstrip("\n")
        if not text or any(len(whole) > len(text) and whole.startswith(text) for whole in self._repetitions):
            return ""
        self._leave_out(text)
        return self._read()

    def _leave_out(self, text: str) -> None:
        """Remove the longest repetition, if there is one."""
        found = [repetition for repetition in self._repetitions if text.startswith(repetition)]
        if found:
            self._held = text[max(map(len, found)) :]
        self._read = self._read_space

    def _read_space(self) -> str:
        """Remove the repeated part of the white space at the end of the prompt."""
        common = _common(self._held, self._space)
        if common == len(self._held) < len(self._space):
            return ""
        self._held = self._held[common:]
        self._read = self._read_all
        return self._read()

    def _read_all(self) -> str:
        shown, self._held = self._held, ""
        return shown


def _endings(text: str) -> set[str]:
    """Return the ends of a text from each of its last lines on, with and without indentation and final blank lines."""
    starts = [0, *(match.end() for match in re.finditer("\n", text))][-_REPEATED_LINES:]
    endings = {text[start:] for start in starts if len(text) - start <= _LONGEST_REPETITION}
    endings |= {ending.lstrip() for ending in endings}
    endings |= {ending.rstrip("\n") + "\n" for ending in endings if ending.endswith("\n")}
    return {ending for ending in endings if _letters(ending) >= _FEWEST_LETTERS}


def _first_lines(text: str, other: str) -> str:
    """Return the fewest first lines that are long enough and not in the other text; empty if there are none."""
    for match in re.finditer(r"\n|\Z", text):
        lines = text[: match.end()]
        count = sum(not line.isspace() for line in lines.splitlines(keepends=True))
        is_certain = count >= _CERTAIN_LINES and _letters(lines) >= _CERTAIN_LETTERS
        if (is_certain or len(lines) == _LONGEST_ANCHOR) and lines not in other:
            return lines
    return ""


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _common(first: str, second: str) -> int:
    """Return the length of the common beginning of two texts."""
    unlike = (index for index, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    return next(unlike, min(len(first), len(second)))
