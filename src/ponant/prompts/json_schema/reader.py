r"""Regular expressions of JSON schemas, rewritten to mean the same in all dialects.

JSON Schema uses ECMAScript's dialect, validators use their language's, and llguidance uses Rust's. The translation
matches only what both ECMAScript and Python match: ``\w`` becomes the ASCII word characters, and ``\W`` the characters
that are word characters neither in ASCII nor in Unicode. For names of properties, the translation that matches in
either dialect is needed as well.

All classes exclude the control characters that have no short escape in JSON. The grammars have no other escapes, and
llguidance takes a class with all control characters for one that also contains ``"`` and ``\``.
"""

import re

from ponant.prompts.json_schema.scanner import PatternError, PatternScanner

_WRITABLE = r"[^\x00-\x07\x0B\x0E-\x1F\x7F]"
_SPACES = r"\t\n\x0B\f\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
_CLASSES = {
    "d": ("0-9", r"\p{Nd}"),
    "w": ("0-9A-Za-z_", r"_\p{L}\p{M}\p{N}\p{Pc}"),
    "s": (_SPACES, _SPACES + r"\x1C-\x1F\x{85}\x{FEFF}"),
}
"""Members of a class in all dialects, and in any dialect."""
_PROPERTY = re.compile(r"[pP]\{\w+\}")
_QUANTIFIER = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")


class PatternReader(PatternScanner[str]):
    """Translator of one regular expression, from left to right. llguidance checks that parentheses match."""

    def __init__(self, pattern: str, *, wide: bool) -> None:
        """Translate to what any dialect matches if ``wide`` is set, otherwise to what all match."""
        super().__init__(pattern)
        self._wide = wide
        self.ambiguous = False

    def read(self) -> str:
        """Return the translation. Raises PatternError."""
        written = []
        if self._pattern.startswith("(?i)"):
            written.append("(?i)")
            self._at = 4
        while self._at < len(self._pattern):
            written.append(self._next())
        return "".join(written)

    def _next(self) -> str:
        if quantifier := self._take(_QUANTIFIER):
            return self._quantified(quantifier)
        character = self._pattern[self._at]
        if character == "(":
            return self._group()
        self._at += 1
        match character:
            case "\\":
                return self._escape()
            case "[":
                return self._class()
            case ".":
                self.broad = True
                return self._either(r"[^\n\r\x{2028}\x{2029}]", r"[^\n]")
            case "$" if self._wide:
                return r"(?:\n?$)"
            case ")" | "|" | "^" | "$":
                return character
            case "{" if self._pattern.startswith(",", self._at):
                raise PatternError("{,n} differs between dialects of regular expressions")
        return _literal(character)

    def _quantified(self, quantifier: str) -> str:
        lazy = self._take(re.compile(r"\?"))
        if self._take(_QUANTIFIER):
            raise PatternError("there is nothing to repeat before a quantifier", invalid=True)
        return quantifier + (lazy or "")

    def _escape(self) -> str:
        kind = self._pattern[self._at : self._at + 1]
        if kind in "bB":
            raise PatternError(f"\\{kind} is not supported" if kind else "it ends with a backslash", invalid=not kind)
        if kind.isdigit() and kind != "0":
            raise PatternError("references to groups are not supported")
        if shorthand := self._shorthand():
            return self._either(*shorthand)
        return _literal(self._escaped_character())

    def _shorthand(self) -> tuple[str, str] | None:
        """Return the class of an escape in all dialects and in any; None if the escape is not a class."""
        if named := self._take(_PROPERTY):
            self.broad = True
            return f"\\{named}", f"\\{named}"
        kind = self._pattern[self._at : self._at + 1]
        if kind.lower() not in _CLASSES:
            return None
        self._at += 1
        self.broad = self.broad or kind.isupper()
        narrow, wide = _CLASSES[kind.lower()]
        wide += narrow
        return (narrow, wide) if kind.islower() else (f"[^{wide}]", f"[^{narrow}]")

    def _class(self) -> str:
        negated, members = self._class_members()
        narrow, wide = ("".join(parts) for parts in zip(*members, strict=True))
        if not negated:
            return self._either(narrow, wide)
        self.broad = True
        return self._either(f"[^{wide}]", f"[^{narrow}]")

    def _between(self, first: str, last: str) -> str:
        return _literal(first) if first == last else f"{_literal(first)}-{_literal(last)}"

    def _either(self, narrow: str, wide: str) -> str:
        """Return a class of the members in all dialects, or in any if ``wide`` is set."""
        self.ambiguous = self.ambiguous or narrow != wide
        return f"[[{wide if self._wide else narrow}]&&{_WRITABLE}]"


def _literal(character: str) -> str:
    return character if character.isalnum() and character.isascii() else rf"\x{{{ord(character):X}}}"
