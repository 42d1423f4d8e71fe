"""Syntax check of JSON Lines during an upload: every line must be a JSON object."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic_core import from_json

MAX_LINE_BYTES = 4 * 2**20
"""Longest accepted line."""

_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\xef\xbb\xbf": "UTF-8 with a byte order mark"}


MAX_REPORTED = 10
"""Number of invalid lines after which the check ends."""


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line that is not a JSON object: its number, from 1, and the reason, for users."""

    number: int
    reason: str

    def __str__(self) -> str:
        """Return the number and the reason."""
        return f"line {self.number}: {self.reason}"


class InvalidLinesError(ValueError):
    """Lines are not JSON objects.

    Attributes:
        lines: the first of these lines, at most ``MAX_REPORTED``.
    """

    def __init__(self, lines: Sequence[InvalidLine]) -> None:
        super().__init__("\n".join(map(str, lines)))
        self.lines = tuple(lines)


class JsonLines:
    """Checks a file that arrives in pieces of any size. At most one line is in memory.

    Lines end with LF or CR LF; the last line may end without. Blank lines are skipped.

    Attributes:
        count: lines so far, without blank ones.
        first: the object of the first line.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: dict[str, Any] | None = None
        self._number = 1
        self._line = bytearray()
        self._invalid: list[InvalidLine] = []

    def feed(self, data: bytes) -> None:
        """Check a piece of the file. Raises InvalidLinesError if the rest of the file need not be checked."""
        begin = 0
        while (end := data.find(b"\n", begin)) >= 0:
            self._extend(data[begin:end])
            self._end_line()
            begin = end + 1
        self._extend(data[begin:])

    def finish(self) -> None:
        """Check the last line. Raises InvalidLinesError, also if the file has only blank lines."""
        self._end_line()
        if self._invalid:
            raise InvalidLinesError(self._invalid)
        if not self.count:
            raise InvalidLinesError([InvalidLine(1, "the file has only blank lines")])

    def _extend(self, part: bytes) -> None:
        if len(self._line) + len(part) > MAX_LINE_BYTES:
            self._refuse(f"it is longer than {MAX_LINE_BYTES // 2**20} MiB")
        self._line += part

    def _end_line(self) -> None:
        line = bytes(self._line)
        self._line.clear()
        if line.strip():
            self._take(line)
        self._number += 1

    def _take(self, line: bytes) -> None:
        if self._number == 1:
            for mark, encoding in _MARKS.items():
                if line.startswith(mark):
                    self._refuse(f"the file is {encoding}; it must be plain UTF-8")
        value = _read(line)
        if isinstance(value, str):
            self._invalid.append(InvalidLine(self._number, value))
            if len(self._invalid) == MAX_REPORTED:
                raise InvalidLinesError(self._invalid)
            return
        self.count += 1
        if self.first is None:
            self.first = value

    def _refuse(self, reason: str) -> NoReturn:
        """End the check at a line after which no other one can be trusted."""
        raise InvalidLinesError([*self._invalid, InvalidLine(self._number, reason)])


def _read(line: bytes) -> dict[str, Any] | str:
    """Return the object of a line, or the reason why it is none."""
    try:
        line.decode()
        value = from_json(line, allow_inf_nan=False, cache_strings="keys")
    except UnicodeDecodeError as error:
        return f"it is not UTF-8: {error.reason} at byte {error.start}"
    except ValueError as error:
        said = str(error).replace("at line 1 column", "at column")  # the parser was given this line only
        return "it is nested too deeply" if "recursion" in said else f"it is not JSON: {said}"
    return value if isinstance(value, dict) else "it is not a JSON object"
