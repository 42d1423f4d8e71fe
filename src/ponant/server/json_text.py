"""JSON texts: strict parsing, with errors that say what to change."""

import re
from typing import Any

from pydantic_core import from_json
from starlette.exceptions import HTTPException

_COMPRESSED = {
    b"\x1f\x8b\x08": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x78\x01": "deflate",
    b"\x78\x5e": "deflate",
    b"\x78\x9c": "deflate",
    b"\x78\xda": "deflate",
}
"""First bytes of compressed data."""
_FOREIGN = {
    b"\xef\xbb\xbf": "it begins with a byte order mark; send UTF-8 without one",
    b"\xff\xfe\x00\x00": "it is UTF-32; send UTF-8",
    b"\x00\x00\xfe\xff": "it is UTF-32; send UTF-8",
    b"\xff\xfe": "it is UTF-16; send UTF-8",
    b"\xfe\xff": "it is UTF-16; send UTF-8",
}
"""Reasons by the first bytes of texts that are not UTF-8, or not plain."""
_PLACE = re.compile(r"(.*) at line (\d+) column (\d+)", re.DOTALL)
_REASONS = {
    "invalid unicode code point": "this is not valid UTF-8",
    "unexpected end of hex escape": r"this \u escape is incomplete, or a surrogate without its other half",
    "lone leading surrogate in hex escape": r"this \u escape is a surrogate without its other half",
    "recursion limit exceeded": "values are nested too deep",
    "key must be a string": "a key in double quotes is expected",
}
"""Reasons that say more than those of the parser."""
COMPRESSION_REFUSED = "The request body is compressed with {}, which this server does not read. Send it uncompressed."


class JsonTextError(ValueError):
    """A text is not JSON. The message has the reason, the line and the column; columns count bytes from 1."""


def parse_json(text: bytes) -> Any:
    """Parse a JSON text strictly: no NaN, no lone surrogates, limited nesting.

    Raises:
        JsonTextError: the text is not JSON.
        HTTPException: the text is compressed (415).
    """
    try:
        return from_json(text, allow_inf_nan=False, cache_strings="keys")  # the cache outlives requests
    except ValueError as error:
        reason = str(error)
    for beginning, format_ in _COMPRESSED.items():
        if text.startswith(beginning):
            raise HTTPException(415, COMPRESSION_REFUSED.format(format_), {"accept-encoding": "identity"})
    raise JsonTextError(f"The body is not valid JSON: {_described(text, reason)}")


def _described(text: bytes, reason: str) -> str:
    for beginning, what in _FOREIGN.items():
        if text.startswith(beginning):
            return f"{what} (line 1, column 1)"
    if b"\0" in text[:4]:
        return "it is UTF-16 or UTF-32; send UTF-8 (line 1, column 1)"
    place = _PLACE.fullmatch(reason)
    if place is None:
        return reason
    said, line, column = place[1], int(place[2]), int(place[3])
    if not column:  # a newline, which the parser places after itself
        line, column = line - 1, len(text.split(b"\n")[line - 2]) + 1
    return f"{_REASONS.get(said, said)} (line {line}, column {column})"
