"""Output of a server: its first lines and its log."""

import re
from pathlib import Path

from tests.recordings.normal import normal_text
from tests.serving import wait_until

_FACTS: tuple[tuple[str, str], ...] = (
    (r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d ", "<time> "),
    (r"\bseconds=[\d.]+", "seconds=<seconds>"),
    (r"\brequest_id=[0-9a-f]{32}\b", "request_id=<id>"),
    (r"\battempt=\d+", "attempt=<count>"),
    (r"\bworker=[\w.]+", "worker=<module>"),
)
_LEVEL = re.compile(r"\S+ (DEBUG|INFO|WARNING|ERROR) ")


class Log:
    """Log of a server in a file, read from the beginning of a test."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._begin = file.stat().st_size

    def lines(self) -> list[str]:
        """Return the new lines, without times and tracebacks."""
        with self._file.open("rb") as file:
            file.seek(self._begin)
            text = file.read().decode()
        whole = text.splitlines(keepends=True)
        return [_normal(line) for line in whole if line.endswith("\n") and _LEVEL.match(line)]

    def wait_for(self, text: str, *, times: int = 1) -> list[str]:
        """Wait until ``times`` lines contain a text; return all lines."""
        wait_until(lambda: sum(text in line for line in self.lines()) >= times)
        return self.lines()


def _normal(line: str) -> str:
    line = normal_text(line.rstrip("\n"))
    for pattern, name in _FACTS:
        line = re.sub(pattern, name, line)
    return line
