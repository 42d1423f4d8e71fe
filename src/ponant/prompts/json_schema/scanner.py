"""Characters, escapes and classes of regular expressions, read from left to right."""

import re
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_HEXADECIMAL = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_GROUP = re.compile(r"\((?:\?(?::|P?<[A-Za-z_]\w*>))?(?!\?)")

Set = TypeVar("Set")


class PatternError(Exception):
    """A regular expression cannot be used in a grammar. The message states the reason.

    ``invalid`` is True if it is no regular expression at all.
    """

    def __init__(self, reason: str, *, invalid: bool = False) -> None:
        super().__init__(reason)
        self.invalid = invalid


class PatternScanner(ABC, Generic[Set]):
    """Scanner of one regular expression. Each set of characters has two forms, whose meaning subclasses define.

    Attributes:
        broad: True if the expression names characters that are not ASCII.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self.broad = not pattern.isascii()

    @abstractmethod
    def _shorthand(self) -> tuple[Set, Set] | None:
        """Return the set of an escape; None if the escape is no set."""

    @abstractmethod
    def _between(self, first: str, last: str) -> Set:
        """Return the set of a range of characters."""

    def _class_members(self) -> tuple[bool, list[tuple[Set, Set]]]:
        """Return the members of a class after its ``[``, and whether it is negated."""
        negated = self._take(re.compile(r"\^")) is not None
        if self._pattern.startswith("]", self._at):
            raise PatternError("[] differs between dialects of regular expressions")
        members = []
        while not self._take(re.compile("]")):
            members.append(self._member())
        return negated, members

    def _member(self) -> tuple[Set, Set]:
        first = self._class_atom()
        if isinstance(first, tuple):
            return first
        last = self._range_end() or first
        if first > last:
            raise PatternError("the range of a class ends before it begins", invalid=True)
        between = self._between(first, last)
        return between, between

    def _range_end(self) -> str | None:
        """Return the last character of a range; None if its first one stands alone."""
        if not re.compile("-[^]]").match(self._pattern, self._at):
            return None
        before = self._at
        self._at += 1
        last = self._class_atom()
        if isinstance(last, str):
            return last
        self._at = before
        return None

    def _class_atom(self) -> str | tuple[Set, Set]:
        """Return a character, or the set of an escape."""
        if self._at >= len(self._pattern):
            raise PatternError("a class has no end", invalid=True)
        character = self._pattern[self._at]
        self._at += 1
        if character != "\\":
            return character
        if self._take(re.compile("b")):
            return "\b"
        return self._shorthand() or self._escaped_character()

    def _group(self) -> str:
        if self._take(_GROUP):
            return "(?:"
        kinds = {"(?=": "lookahead", "(?!": "lookahead", "(?<=": "lookbehind", "(?<!": "lookbehind"}
        shown = next((start for start in kinds if self._pattern.startswith(start, self._at)), "(?")
        raise PatternError(f"{kinds.get(shown, 'an extension')}, {shown}…), is not supported")

    def _escaped_character(self) -> str:
        if self._take(re.compile(r"0(?!\d)")):
            return "\0"
        if found := _HEXADECIMAL.match(self._pattern, self._at):
            self._at = found.end()
            return self._with_low_surrogate(int(found[1] or found[2] or found[3], 16))
        kind = self._pattern[self._at : self._at + 1]
        self._at += 1
        if kind in _CONTROLS:
            return _CONTROLS[kind]
        if not kind or kind.isalnum():
            raise PatternError(f"\\{kind} differs between dialects of regular expressions")
        return kind

    def _with_low_surrogate(self, code: int) -> str:
        if 0xD800 <= code < 0xDC00 and (low := self._take(re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"))):
            self.broad = True
            return chr(0x10000 + (code - 0xD800) * 0x400 + int(low[2:], 16) - 0xDC00)
        if 0xD800 <= code < 0xE000 or code > 0x10FFFF:
            raise PatternError("half a surrogate pair is not a character")
        self.broad = self.broad or code > 0x7F
        return chr(code)

    def _take(self, expected: re.Pattern[str]) -> str | None:
        found = expected.match(self._pattern, self._at)
        if found:
            self._at = found.end()
        return found and found[0]
