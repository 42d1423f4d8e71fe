"""Reports of invalid requests: a bounded number of errors, each of a bounded size."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from ponant.api.limits import MOST_ERRORS
from ponant.server.dialects.base import DialectExchange

_CHECK = re.compile(r"constrained-|function-(?:after|before|wrap)\[[^\[\]]*\(\), ([^\[\]]*)\]")
"""Pydantic's names of checks in the name of a type."""
_LARGEST_REPORT = 16_000
"""Most bytes of a report, but it always has its first error."""
_LONGEST_ECHO = 1000
"""Most characters of an invalid value that a report repeats."""
_LONGEST_STEP = 200
"""Most characters of a name in the location of an error."""
_LONGEST_MESSAGE = 1000

_Part = TypeVar("_Part")


def report(errors: Sequence[Any], exchange: DialectExchange) -> bytes:
    """Return the body of a response with the first errors of a request, at their places in the sent body."""
    size = 0
    told: list[str] = []
    for reason in errors[:MOST_ERRORS]:
        location = exchange.as_sent(reason["loc"])
        is_missing = reason["type"] == "missing" and exchange.sources
        error = json.dumps(
            {
                "type": reason["type"],
                "loc": [_short_step(_plain(step)) for step in location],
                "msg": shortened(reason["msg"], _LONGEST_MESSAGE),
                "input": _echo(exchange.sent_without(location) if is_missing else reason.get("input")),
            }
        )
        size += len(error)
        if told and size > _LARGEST_REPORT:
            break
        told.append(error)
    return f'{{"detail": [{", ".join(told)}]}}'.encode()


def shortened(text: str, most: int) -> str:
    """Return a text of at most this many characters, or its beginning."""
    return text if len(text) <= most else f"{text[:most]}…"


def _short_step(step: str | int) -> str | int:
    return shortened(step, _LONGEST_STEP) if isinstance(step, str) else step


def _plain(step: str | int) -> str | int:
    """Return a step of a location without pydantic's names of checks: ``str`` for ``function-after[check(), str]``."""
    while isinstance(step, str) and len(step) <= _LONGEST_MESSAGE and (check := _CHECK.search(step)):
        step = f"{step[: check.start()]}{check[1] or ''}{step[check.end() :]}"
    return step


def _echo(value: Any) -> Any:
    """Return an invalid value for a response: valid JSON, shortened."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        text = json.dumps(_Beginning(_LONGEST_ECHO + 1).of(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return value if len(text) <= _LONGEST_ECHO else shortened(text, _LONGEST_ECHO)


class _Beginning:
    """Beginning of a JSON value whose text is at least this long, unless the whole value's is shorter."""

    def __init__(self, length: int) -> None:
        self._left = length

    def of(self, value: Any) -> Any:
        """Return the beginning of a value."""
        if isinstance(value, str):
            begun = value[: max(self._left, 0)]
            self._left -= len(begun)
            return begun
        if isinstance(value, dict):
            return {self.of(name): self.of(part) for name, part in self._first(value.items())}
        return [self.of(part) for part in self._first(value)] if isinstance(value, list | tuple) else value

    def _first(self, parts: Iterable[_Part]) -> Iterator[_Part]:
        for part in parts:
            if self._left <= 0:
                return
            self._left -= 1
            yield part
