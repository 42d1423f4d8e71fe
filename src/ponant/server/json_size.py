"""Sizes of JSON texts, counted in their bytes before they are parsed.

Parsed values take up to 100 times the memory of their text, and errors in them still more.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_PIECE = 2**18
"""Bytes that are scanned at once. Other threads run between two pieces."""


@dataclass(frozen=True, slots=True)
class JsonSize:
    """Size of a JSON text.

    Attributes:
        values: number of values, objects and lists included.
        parts: number of objects, lists, and members of objects.
    """

    values: int
    parts: int

    def is_within(self, limit: "JsonSize") -> bool:
        """True if neither number exceeds that of the limit."""
        return self.values <= limit.values and self.parts <= limit.parts


def json_size(text: bytes, limit: JsonSize) -> JsonSize:
    """Return the size of a JSON text: an upper bound if that is within the limit, or else a closer one.

    The closer one is exact, but for empty objects and lists, which count as two values. The size of a text that is not
    JSON is at least that of its parsable beginning.
    """
    bound = _counted(text)
    if bound.is_within(limit):
        return bound
    counts = [_counted(piece) for piece in _without_texts(text)]
    return JsonSize(1 + sum(count.values - 1 for count in counts), sum(count.parts for count in counts))


def _counted(text: bytes) -> JsonSize:
    """Count by the marks of a text; marks in strings count as well."""
    containers = text.count(b"{") + text.count(b"[")
    return JsonSize(1 + text.count(b",") + containers, containers + text.count(b":"))


def _without_texts(text: bytes) -> Iterator[bytes]:
    """Yield the parts of a JSON text outside of its strings, in pieces."""
    is_inside = False
    rest = b""
    for start in range(0, len(text), _PIECE):
        piece = (rest + text[start : start + _PIECE]).replace(rb"\\", b"").replace(rb"\"", b"")
        rest = piece[-1:] if piece.endswith(b"\\") else b""
        between = piece.split(b'"')
        yield b"".join(between[is_inside::2])
        is_inside ^= len(between) % 2 == 0
