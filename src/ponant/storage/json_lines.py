"""Syntax check of JSON Lines during an upload: every line must be a JSON object."""

from typing import Any

from pydantic_core import from_json

MAX_LINE_BYTES = 4 * 2**20
"""Longest accepted line."""

_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\xef\xbb\xbf": "UTF-8 with a byte order mark"}


class InvalidLineError(ValueError):
    """A line is not a JSON object.

    Attributes:
        number: number of the line, from 1.
        reason: reason, for users.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number = number
        self.reason = reason


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

    def feed(self, data: bytes) -> None:
        """Check a piece of the file. Raises InvalidLineError."""
        begin = 0
        while (end := data.find(b"\n", begin)) >= 0:
            self._extend(data[begin:end])
            self._end_line()
            begin = end + 1
        self._extend(data[begin:])

    def finish(self) -> None:
        """Check the last line. Raises InvalidLineError, also if the file has only blank lines."""
        self._end_line()
        if not self.count:
            raise InvalidLineError(1, "the file has only blank lines")

    def _extend(self, part: bytes) -> None:
        if len(self._line) + len(part) > MAX_LINE_BYTES:
            raise InvalidLineError(self._number, f"it is longer than {MAX_LINE_BYTES // 2**20} MiB")
        self._line += part

    def _end_line(self) -> None:
        line = bytes(self._line)
        self._line.clear()
        if line.strip():
            value = self._read(line)
            self.count += 1
            if self.first is None:
                self.first = value
        self._number += 1

    def _read(self, line: bytes) -> dict[str, Any]:
        if self._number == 1:
            for mark, encoding in _MARKS.items():
                if line.startswith(mark):
                    raise InvalidLineError(1, f"the file is {encoding}; it must be plain UTF-8")
        try:
            line.decode()
            value = from_json(line, allow_inf_nan=False)
        except UnicodeDecodeError as error:
            raise InvalidLineError(self._number, f"it is not UTF-8: {error.reason} at byte {error.start}") from None
        except ValueError as error:
            said = str(error).replace("at line 1 column", "at column")  # the parser was given this line only
            reason = "it is nested too deeply" if "recursion" in said else f"it is not JSON: {said}"
            raise InvalidLineError(self._number, reason) from None
        if not isinstance(value, dict):
            raise InvalidLineError(self._number, "it is not a JSON object")
        return value
