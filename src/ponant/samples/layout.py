"""Values as literals: on one line where they fit, else one member a line."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ponant.samples.call import Json
from ponant.samples.strings import ascii_json_string, javascript_string, json_string, python_string

WIDTH = 80
"""Longest line of a sample, in characters, unless one string is longer."""

_SHORTEST = 60
"""Longest body on one line."""


@dataclass(frozen=True)
class Notation:
    """Literals of a language.

    Attributes:
        words: the words for null, false and true.
        string: returns a string literal.
        key: returns the key of an object's member.
        step: indentation of a member.
        padding: text inside the braces of an object on one line.
        last_comma: text after the last member, if each has a line.
    """

    words: tuple[str, str, str]
    string: Callable[[str], str]
    key: Callable[[str], str]
    step: str = "  "
    padding: str = ""
    last_comma: str = ""

    def literal(self, value: Json, *, indent: str = "", before: int = 0, after: int = 0) -> str:
        """Return a literal, without the indentation of its first line.

        Args:
            value: the value.
            indent: indentation of the line on which the literal ends.
            before: characters on the first line before the literal.
            after: characters on the last line after the literal.
        """
        if not isinstance(value, dict | list) or not value:
            return self._short(value)
        if line := self._line(value, WIDTH - before - after):
            return line
        deeper = indent + self.step
        keys = [f"{self.key(key)}: " for key in value] if isinstance(value, dict) else [""] * len(value)
        items = value.values() if isinstance(value, dict) else value
        members = [
            f"{deeper}{key}{self.literal(item, indent=deeper, before=len(deeper) + len(key), after=1)}"
            for key, item in zip(keys, items, strict=True)
        ]
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        return f"{opening}\n" + ",\n".join(members) + f"{self.last_comma}\n{indent}{closing}"

    def body(self, value: Json, *, indent: str = "") -> str:
        """Return the body of a request, whose members each have a line unless they are few and short."""
        return self.literal(value, indent=indent, before=WIDTH - _SHORTEST)

    def _short(self, value: Json) -> str:
        if value is None or isinstance(value, bool):
            return self.words[0 if value is None else 1 + value]
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, dict | list):
            return "{}" if isinstance(value, dict) else "[]"
        return repr(value)

    def _line(self, value: Json, room: int) -> str | None:
        """Return a value on one line; None if it is longer than ``room`` characters."""
        if isinstance(value, str | dict | list) and len(value) > room:
            return None
        if not isinstance(value, dict | list) or not value:
            text = self._short(value)
            return text if len(text) <= room else None
        if isinstance(value, dict):
            members = ((f"{self.key(key)}: ", item) for key, item in value.items())
            inner = self._joined(members, room - 2 - 2 * len(self.padding))
            return None if inner is None else f"{{{self.padding}{inner}{self.padding}}}"
        inner = self._joined((("", item) for item in value), room - 2)
        return None if inner is None else f"[{inner}]"

    def _joined(self, members: Iterable[tuple[str, Json]], room: int) -> str | None:
        parts = []
        for key, item in members:
            text = self._line(item, room - len(key))
            if text is None:
                return None
            parts.append(key + text)
            room -= len(key) + len(text) + 2
        return ", ".join(parts) if room >= -2 else None


def javascript_key(name: str) -> str:
    """Return the key of a JavaScript object. A plain ``__proto__`` would set the object's prototype."""
    if name == "__proto__":
        return '["__proto__"]'
    return name if name.isascii() and name.isidentifier() else javascript_string(name)


JSON = Notation(("null", "false", "true"), json_string, json_string)
ASCII_JSON = Notation(("null", "false", "true"), ascii_json_string, ascii_json_string)
PYTHON = Notation(("None", "False", "True"), python_string, python_string, step="    ", last_comma=",")
JAVASCRIPT = Notation(("null", "false", "true"), javascript_string, javascript_key, padding=" ", last_comma=",")
