"""Regular expressions of JSON schemas, rewritten for llguidance."""

import re
from dataclasses import dataclass
from functools import lru_cache

from ponant.prompts.json_schema.expressions import has_assertions
from ponant.prompts.json_schema.lookarounds import (
    differs_between_dialects,
    without_lookarounds,
    without_lookarounds_in_one,
)
from ponant.prompts.json_schema.reader import PatternReader

_NOT_WRITABLE = re.compile("[\x00-\x07\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_CACHED = 256
"""Number of expressions with lookarounds whose translations are cached."""


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A translated regular expression for names of properties.

    Attributes:
        narrow: expression for the names that match in all dialects.
        wide: expression for the names that match in any dialect.
        ambiguous: True if the two differ for names that do not end in a newline.
        broad: True if the expression may match names with non-ASCII characters.
    """

    narrow: str
    wide: str
    ambiguous: bool
    broad: bool


def translate_patterns(pattern: str) -> list[str]:
    """Translate a regular expression for llguidance, to expressions that must all match.

    They match nothing else, and may match less.

    Raises:
        PatternError: the expression has an unsupported part.
    """
    if has_assertions(pattern):
        return list(_without_lookarounds(pattern))
    return [PatternReader(pattern, wide=False).read()]


def translate_pattern(pattern: str) -> str:
    """Translate a regular expression to a single one, as ``translate_patterns`` does. Raises PatternError."""
    if has_assertions(pattern):
        return _without_lookarounds_in_one(pattern, wide=False)
    return PatternReader(pattern, wide=False).read()


def name_pattern(pattern: str) -> NamePattern:
    """Translate a regular expression for names of properties. Raises PatternError."""
    if has_assertions(pattern):
        found, any_dialect = (_without_lookarounds_in_one(pattern, wide=wide) for wide in (False, True))
        return NamePattern(found, any_dialect, ambiguous=differs_between_dialects(pattern), broad=True)
    narrow, wide = PatternReader(pattern, wide=False), PatternReader(pattern, wide=True)
    written = narrow.read()
    bounded = pattern.startswith("^") and pattern.endswith("$") and "|" not in pattern
    return NamePattern(written, wide.read(), narrow.ambiguous, narrow.broad or not bounded)


def writable(text: str) -> bool:
    """Return True if a string can be written with JSON's short escapes only."""
    return not _NOT_WRITABLE.search(text)


def other_than(texts: set[str]) -> str:
    """Return a regular expression for all strings except these."""
    return f"^{_other_than(sorted(texts), 0)}$"


def _other_than(texts: list[str], at: int) -> str:
    """Return the expression for the rest after the first ``at`` characters, which the texts have in common."""
    following: dict[str, list[str]] = {}
    for text in texts:
        if len(text) > at:
            following.setdefault(text[at], []).append(text)
    firsts = "".join(map(_escaped, following))
    branches = [rf"[^{firsts}][\s\S]*" if firsts else r"[\s\S]+"]
    branches += [_escaped(first) + _other_than(rest, at + 1) for first, rest in following.items()]
    if all(len(text) > at for text in texts):
        branches.append("")
    return f"(?:{'|'.join(branches)})"


def _escaped(character: str) -> str:
    return character if character.isalnum() and character.isascii() else rf"\u{{{ord(character):X}}}"


@lru_cache(_CACHED)
def _without_lookarounds(pattern: str) -> tuple[str, ...]:
    return tuple(without_lookarounds(pattern))


@lru_cache(_CACHED)
def _without_lookarounds_in_one(pattern: str, *, wide: bool) -> str:
    return without_lookarounds_in_one(pattern, wide=wide)
