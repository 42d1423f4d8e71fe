"""Regular expressions as trees, with lookarounds and word boundaries.

Each set of characters has two forms, one for each dialect: ECMAScript's and Python's.
"""

import re
from dataclasses import dataclass

from ponant.prompts.json_schema.characters import (
    ALL,
    Ranges,
    between,
    common,
    dot,
    folded,
    inverted,
    shorthand,
    single,
    united,
    written,
)
from ponant.prompts.json_schema.scanner import PatternError, PatternScanner

Sets = tuple[Ranges, Ranges]
"""A set of characters in ECMAScript and in Python."""

_MOST_NODES = 5_000


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of a set."""

    sets: Sets


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts after one another."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Branches:
    """One of several parts."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part, ``least`` to ``most`` times; None for any number."""

    part: "Node"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """A lookahead, or a lookbehind if ``behind`` is set; negative if ``negative`` is set."""

    part: "Node"
    behind: bool
    negative: bool


@dataclass(frozen=True, slots=True)
class Anchor:
    """``^``, ``$``, ``b`` for a word boundary, or ``B`` for a place that is none."""

    kind: str


Node = Characters | Chain | Branches | Repeat | Look | Anchor

_LOOKS = re.compile(r"\(\?(<?)([=!])")
_REPEATED = re.compile(r"\{(\d+)(,?)(\d*)\}")
_ANY = Characters((ALL, ALL))


def has_assertions(pattern: str) -> bool:
    r"""Return True if an expression has lookarounds, ``\b`` or ``\B`` outside of classes."""
    at, in_class = 0, False
    while at < len(pattern):
        if pattern[at] == "\\":
            if not in_class and pattern[at + 1 : at + 2] in ("b", "B"):
                return True
            at += 2
            continue
        if pattern[at] in "[]":
            in_class = pattern[at] == "["
        elif not in_class and _LOOKS.match(pattern, at):
            return True
        at += 1
    return False


def read_expression(pattern: str) -> Node:
    """Parse a regular expression. Raises PatternError."""
    return _TreeReader(pattern).tree()


class _TreeReader(PatternScanner[Ranges]):
    """Parser of one regular expression."""

    def __init__(self, pattern: str) -> None:
        super().__init__(pattern)
        self._folds = False

    def tree(self) -> Node:
        if self._pattern.startswith("(?i)"):
            self._folds = True
            self._at = 4
        found = self._choice(0)
        if self._at < len(self._pattern):
            raise PatternError("a parenthesis closes no group", invalid=True)
        return found

    def _choice(self, depth: int) -> Node:
        if depth > 50:
            raise PatternError("its groups are nested too deeply")
        branches = [self._sequence(depth)]
        while self._take(re.compile(r"\|")):
            branches.append(self._sequence(depth))
        return branches[0] if len(branches) == 1 else Branches(tuple(branches))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            parts.append(self._repeated(self._part(depth)))
        return parts[0] if len(parts) == 1 else Chain(tuple(parts))

    def _part(self, depth: int) -> Node:
        character = self._pattern[self._at]
        if character == "(":
            return self._bracketed(depth)
        if character in "*+?" or _REPEATED.match(self._pattern, self._at):
            raise PatternError("there is nothing to repeat before a quantifier", invalid=True)
        self._at += 1
        match character:
            case "\\":
                if kind := self._take(re.compile("[bB]")):
                    return Anchor(kind)
                return self._escaped()
            case "[":
                return self._members()
            case ".":
                return Characters(dot())
            case "^" | "$":
                return Anchor(character)
            case "{" if self._pattern.startswith(",", self._at):
                raise PatternError("{,n} differs between dialects of regular expressions")
        return self._one(character)

    def _repeated(self, part: Node) -> Node:
        least: int
        most: int | None
        if sign := self._take(re.compile("[*+?]")):
            least, most = int(sign == "+"), 1 if sign == "?" else None
        elif found := _REPEATED.match(self._pattern, self._at):
            self._at = found.end()
            least = int(found[1])
            most = int(found[3]) if found[3] else None if found[2] else least
            if most is not None and most < least:
                raise PatternError("the bounds of a quantifier are in the wrong order", invalid=True)
        else:
            return part
        self._take(re.compile(r"\?"))
        if self._take(re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")):
            raise PatternError("there is nothing to repeat before a quantifier", invalid=True)
        if isinstance(part, Look | Anchor):
            raise PatternError("a quantifier after an assertion differs between dialects of regular expressions")
        return Repeat(part, least, most)

    def _bracketed(self, depth: int) -> Node:
        if look := _LOOKS.match(self._pattern, self._at):
            self._at = look.end()
            found: Node = Look(self._choice(depth + 1), behind=bool(look[1]), negative=look[2] == "!")
        else:
            self._group()
            found = self._choice(depth + 1)
        if not self._take(re.compile(r"\)")):
            raise PatternError("a group has no end", invalid=True)
        return found

    def _escaped(self) -> Node:
        kind = self._pattern[self._at : self._at + 1]
        if not kind:
            raise PatternError("it ends with a backslash", invalid=True)
        if kind.isdigit() and kind != "0":
            raise PatternError("references to groups are not supported")
        if sets := self._shorthand():
            return Characters(sets)
        return self._one(self._escaped_character())

    def _one(self, character: str) -> Node:
        return Characters(self._with_cases((single(character), single(character))))

    def _shorthand(self) -> Sets | None:
        kind = self._pattern[self._at : self._at + 1]
        if kind in "pP" and self._pattern.startswith("{", self._at + 1):
            raise PatternError(f"\\{kind} is not supported next to lookarounds")
        if kind.lower() not in "dws":
            return None
        self._at += 1
        ecma, python = shorthand(kind.lower())
        return (ecma, python) if kind.islower() else (inverted(ecma), inverted(python))

    def _members(self) -> Node:
        negated, members = self._class_members()
        ecma: Ranges = ()
        python: Ranges = ()
        for more in members:
            ecma, python = united(ecma, more[0]), united(python, more[1])
        ecma, python = self._with_cases((ecma, python))
        return Characters((inverted(ecma), inverted(python)) if negated else (ecma, python))

    def _between(self, first: str, last: str) -> Ranges:
        return between(first, last)

    def _with_cases(self, sets: Sets) -> Sets:
        return (folded(sets[0], unicode=False), folded(sets[1], unicode=True)) if self._folds else sets


def text_of(node: Node) -> str:
    """Return an expression without assertions for llguidance. It matches what all dialects match."""
    match node:
        case Characters((ecma, python)):
            return written(common(ecma, python))
        case Chain(parts):
            return "".join(map(text_of, parts))
        case Branches(parts):
            return f"(?:{'|'.join(map(text_of, parts))})"
        case Repeat(part, least, most):
            return f"(?:{text_of(part)}){{{least},{'' if most is None else most}}}"
        case Anchor(kind) if kind in "^$":
            return kind
    raise PatternError("an assertion has no text")
