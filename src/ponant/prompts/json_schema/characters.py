"""Sets of characters, as ECMAScript and Python define the classes of regular expressions.

The characters are those that a grammar can write: surrogates and the control characters that have no short escape in
JSON are in no set.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache

Ranges = tuple[tuple[int, int], ...]
"""Code points from the first to the last of each pair, in ascending order, without gaps of length 0."""

_LAST = 0x10FFFF
_LAST_WORD = 0x33FFF
"""Code point after which there are no letters and digits."""
_CONTROLS = ((0x00, 0x07), (0x0B, 0x0B), (0x0E, 0x1F), (0x7F, 0x7F))
_UNWRITABLE = (*_CONTROLS, (0xD800, 0xDFFF))
_SPACES = "\t\n\x0b\f\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_LONGEST = 40
"""Number of ranges above which a set is written with the names of classes."""


def ranges_of(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Return pairs of code points, in any order, as ranges."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(pairs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def inverted(ranges: Ranges) -> Ranges:
    """Return the writable characters that are not in a set."""
    taken = ranges_of((*ranges, *_UNWRITABLE))
    edges = [-1, *(edge for pair in taken for edge in pair), _LAST + 1]
    return tuple((edges[at] + 1, edges[at + 1] - 1) for at in range(0, len(edges), 2) if edges[at] + 1 < edges[at + 1])


def united(*sets: Ranges) -> Ranges:
    """Return the characters that are in any set."""
    return ranges_of(pair for ranges in sets for pair in ranges)


def common(left: Ranges, right: Ranges) -> Ranges:
    """Return the characters that are in both sets."""
    return inverted(united(inverted(left), inverted(right)))


def single(character: str) -> Ranges:
    """Return the set of one character; empty if it cannot be written."""
    return inverted(inverted(((ord(character), ord(character)),)))


def between(first: str, last: str) -> Ranges:
    """Return the characters of a range."""
    return inverted(inverted(((ord(first), ord(last)),)))


def folded(ranges: Ranges, *, unicode: bool) -> Ranges:
    """Return a set with the other cases of its ASCII letters, and with ``unicode`` those that fold to them."""
    more: list[tuple[int, int]] = []
    for code in (*range(0x41, 0x5B), *range(0x61, 0x7B)):
        if contains(ranges, code):
            more.append((code ^ 0x20, code ^ 0x20))
            more += [
                (ord(other), ord(other))
                for other in {"k": "\u212a", "s": "\u017f", "i": "\u0130\u0131"}.get(chr(code | 0x20), "")
                if unicode
            ]
    return united(ranges, tuple(more))


def contains(ranges: Ranges, code: int) -> bool:
    """Return True if a code point is in a set."""
    at = bisect_right(ranges, (code, _LAST)) - 1
    return at >= 0 and ranges[at][1] >= code


ALL = inverted(())
NEWLINE = single("\n")
_ASCII_WORD = ranges_of([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
_DOTS = (inverted(ranges_of([(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)])), inverted(((0x0A, 0x0A),)))


def dot() -> tuple[Ranges, Ranges]:
    """Return what ``.`` matches in ECMAScript and in Python."""
    return _DOTS


@cache
def shorthand(kind: str) -> tuple[Ranges, Ranges]:
    r"""Return what ``\d``, ``\w`` or ``\s`` (``kind`` is its letter) matches in ECMAScript and in Python."""
    match kind:
        case "d":
            return ((0x30, 0x39),), _in_python(r"\d+")
        case "w":
            return _ASCII_WORD, _in_python(r"\w+")
    spaces = inverted(inverted(ranges_of(_pairs(_SPACES))))
    return united(spaces, single("\ufeff")), united(spaces, single("\x85"))


@cache
def _in_python(expression: str) -> Ranges:
    found = (match.span() for match in re.finditer(expression, _all_words()))
    gap = 0x800  # surrogates are not in the text
    pairs = ((first + gap * (first >= 0xD800), last - 1 + gap * (last > 0xD800)) for first, last in found)
    return inverted(inverted(ranges_of(pairs)))


@cache
def _all_words() -> str:
    return "".join(map(chr, (*range(0xD800), *range(0xE000, _LAST_WORD))))


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    for part in re.finditer(r"(.)(?:-(.))?", text, re.DOTALL):
        yield ord(part[1]), ord(part[2] or part[1])


def written(ranges: Ranges) -> str:
    """Return a set as a class of llguidance's regular expressions."""
    if not ranges:
        return "[^\\x{0}-\\x{10FFFF}]"
    if len(ranges) <= _LONGEST:
        return f"[{_text(ranges)}]"
    rest = inverted(ranges)
    if len(rest) <= _LONGEST:
        return f"[^{_text(united(rest, _CONTROLS))}]"
    return _named(ranges)


def _named(ranges: Ranges) -> str:
    """Return a set of many ranges as a class, by the names of the classes that it has or lacks."""
    left, parts = ranges, []
    for kind, name in (("w", r"_\p{L}\p{N}"), ("d", r"\p{Nd}")):
        many = shorthand(kind)[1]
        outside = common(many, inverted(((0, 0x7F),)))
        if common(left, outside) == outside:
            parts.append(f"[{name}&&[^\\x{{0}}-\\x{{7F}}]]")
            left = common(left, inverted(outside))
        elif kind == "w" and not common(left, outside):
            named = f"[^\\x{{0}}-\\x{{7F}}{name}]"
            lacking = common(inverted(outside), inverted(((0, 0x7F),)))
            kept = common(left, lacking)
            missing = common(lacking, inverted(kept))
            if len(missing) <= _LONGEST:
                parts.append(f"[{named}&&[^{_text(missing)}]]" if missing else named)
                left = common(left, ((0, 0x7F),))
    return f"[{_text(left)}{''.join(parts)}]"


def _text(ranges: Ranges) -> str:
    return "".join(
        f"{_character(first)}-{_character(last)}" if first < last else _character(first) for first, last in ranges
    )


def _character(code: int) -> str:
    character = chr(code)
    return character if character.isalnum() and character.isascii() else rf"\x{{{code:X}}}"
