"""The extent of values in chat templates: their sizes, and the limit that a rendering sets."""

import contextlib
import contextvars
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from jinja2 import TemplateError
from jinja2.utils import Namespace

_LEAST = 2**20
"""Limit of renderings with little text, in characters."""
_FACTOR = 16
"""Characters that a value may have for each character of the conversation."""
_ITEM = 8
"""Assumed size of a value without text."""
_ESCAPED = 6
"""Most characters that the representation of one character has, with little more."""
_MOST_BITS = 2**16
"""Most bits of an integer."""
_NUMBER = re.compile(r"\d+")
_FIELDS = {"%": re.compile(r"%(?:\([^)]*\))?[\d.#+ -]*"), "{": re.compile(r"\{[^{}:]*:([^{}]*)")}
"""Patterns of fields in formats, with their widths, by the beginning of a field."""
_WIDTHS_OF_ARGUMENTS = {"%": re.compile(r"%(?:\([^)]*\))?[\d.#+ -]*\*"), "{": re.compile(r"\{[^{}]*\{")}
"""Patterns of fields whose widths are arguments. They are refused."""
_CONTAINERS: tuple[type, ...] = (list, tuple, set, frozenset, type({}.keys()), type({}.values()), type({}.items()))

_limit = contextvars.ContextVar("limit", default=_LEAST)


class TooLargeError(TemplateError):
    """A value of a template would exceed the limit."""

    def __init__(self) -> None:
        super().__init__("it makes texts, lists or numbers that are too large")


@contextlib.contextmanager
def limited(size: int) -> Iterator[None]:
    """Limit the values of the renderings in the block, whose conversation has ``size`` characters."""
    token = _limit.set(_LEAST + _FACTOR * size)
    try:
        yield
    finally:
        _limit.reset(token)


def check(size: int) -> None:
    """Raise TooLargeError if a value of this size exceeds the limit."""
    if size > _limit.get():
        raise TooLargeError


def check_bits(bits: int) -> None:
    """Raise TooLargeError if an integer of this length is too large."""
    if bits > _MOST_BITS:
        raise TooLargeError


def checked(value: Any) -> Any:
    """Return a value whose text, with the texts of all that it contains, is within the limit.

    A list may contain another one several times: 30 such lists within each other have a text of a gigabyte.
    """
    size_of(value)
    return value


def size_of(value: Any) -> int:
    """Return about the length of a value's text. Raises TooLargeError if it exceeds the limit."""
    if isinstance(value, str):
        return len(value)
    most = _limit.get()
    size = 0
    waiting: list[Iterable[Any]] = [iter([value])]
    while waiting:
        for part in waiting[-1]:
            size += len(part) + _ITEM if isinstance(part, str | bytes) else _ITEM
            if isinstance(part, dict):
                waiting += [iter(part.values()), iter(part)]
                break
            if isinstance(part, _CONTAINERS):
                waiting.append(iter(cast("Collection[Any]", part)))
                break
            if isinstance(part, Namespace):
                raise TooLargeError  # it may contain itself
        else:
            waiting.pop()
        if size > most:
            raise TooLargeError
    return size


def text_of(value: Any) -> str:
    """Return the text of a value. Raises TooLargeError."""
    return str(checked(value))


def check_formatted(text: str, arguments: Sequence[Any], named: Mapping[str, Any], *, mark: str) -> None:
    """Check the length of a formatted text: each field may have the longest argument, and the widths that it states.

    Args:
        text: the text with fields.
        arguments: arguments by position.
        named: arguments by name.
        mark: beginning of a field.

    Raises:
        TooLargeError: it may be too long.
    """
    longest = max(map(size_of, [*arguments, *named.values()]), default=0) * _ESCAPED
    plain = text.replace(mark * 2, "")
    widths = sum(int(number) for field in _FIELDS[mark].findall(plain) for number in _NUMBER.findall(field))
    check(len(text) + text.count(mark) * longest + widths)
    if _WIDTHS_OF_ARGUMENTS[mark].search(plain):
        raise TooLargeError
