r"""Regular expressions with lookarounds and word boundaries, as several expressions without any.

A text matches the expression if it matches all of them. llguidance supports no assertions. Assertions at fixed places
become expressions of their own; all others are expanded by way of a deterministic automaton.
"""

import re
from contextlib import suppress

from ponant.prompts.json_schema.automaton import TOO_COMPLEX, Automaton
from ponant.prompts.json_schema.determinized import is_same, regular_expression
from ponant.prompts.json_schema.expressions import (
    Anchor,
    Chain,
    Characters,
    Node,
    Repeat,
    has_assertions,
    read_expression,
    text_of,
)
from ponant.prompts.json_schema.reader import PatternReader
from ponant.prompts.json_schema.scanner import PatternError
from ponant.prompts.json_schema.traits import asserts, looks_back, without_assertions, without_counts

_LONGEST = 2_000
_ATOM = re.compile(r"\\[dDwWsS.^$*+?(){}|/\[\]\\-]|\[(?:\\.|[^\]\\])+\]|[^\\\[\](){}|^$*+?]", re.DOTALL)
_COUNT = re.compile(r"\{(\d+)\}(?![?*+{])|(?![*+?{])")
_NO_NEWLINE = read_expression(r"(?:^|[^\n])$")
_AHEAD = re.compile(r"\(\?[=!]")
_GROUP = re.compile(r"\^\((?:\?:|\?P?<[A-Za-z_]\w*>|(?!\?))")
_BEHIND_END = re.compile(r"\(\?<[=!](?:\\.|\[(?:\\.|[^\]\\])+\]|[^\\()\[\]])*\)\$\Z", re.DOTALL)


def without_lookarounds(pattern: str) -> list[str]:
    """Return expressions for llguidance, all of which a text must match.

    Raises:
        PatternError: the expression is invalid, or cannot be expressed exactly.
    """
    if len(pattern) > _LONGEST:
        raise PatternError(TOO_COMPLEX)
    try:
        return _all_of(pattern)
    except PatternError:
        if not _AHEAD.match(pattern) or _has_branches(pattern):
            raise
        return _all_of(f"^{pattern}")  # fewer texts: those that match from their start on


def _all_of(pattern: str) -> list[str]:
    found: dict[str, None] = {}
    for part in _separated(pattern):
        found |= dict.fromkeys(_expanded(part) if has_assertions(part) else [PatternReader(part, wide=False).read()])
    return list(found)


def without_lookarounds_in_one(pattern: str, *, wide: bool) -> str:
    """Return one expression for llguidance. With ``wide`` a text may match in any dialect. Raises PatternError."""
    if len(pattern) > _LONGEST:
        raise PatternError(TOO_COMPLEX)
    node = read_expression(pattern)
    automaton = Automaton([node])
    if wide:
        return regular_expression(
            automaton, automaton.any_of([automaton.formula(node, dialects=[one]) for one in (0, 1)])
        )
    return regular_expression(automaton, automaton.formula(node))


def differs_between_dialects(pattern: str) -> bool:
    """Return True if texts that do not end in a newline match in one dialect only, or may do so.

    Raises PatternError.
    """
    node = read_expression(pattern)
    automaton = Automaton([node])
    kept = automaton.formula(_NO_NEWLINE, dialects=[0])
    ecma, python = (automaton.formula(node, dialects=[one]) for one in (0, 1))
    return not is_same(automaton, automaton.all_of([ecma, kept]), [python, kept])


def _expanded(pattern: str) -> list[str]:
    """Return the expressions for a part whose assertions have no fixed place."""
    node = read_expression(pattern)
    if split := _split(node):
        before, after = split
        automaton = Automaton([after])
        with suppress(PatternError):
            return [text_of(before) + regular_expression(automaton, automaton.formula(after)).removeprefix("^")]
    plain = without_assertions(node)
    uncounted = without_counts(node)
    automaton = Automaton([node])
    formulas = [automaton.formula(one) for one in (node, plain, uncounted)]
    try:
        return [regular_expression(automaton, formulas[0])]
    except PatternError:
        # The counts of an expression often say nothing about its assertions.
        if uncounted == node or not is_same(automaton, formulas[0], formulas[1:]):
            raise
    return [text_of(plain), regular_expression(automaton, formulas[2])]


def _split(node: Node) -> tuple[Node, Node] | None:
    """Split an expression into a part without assertions and a rest that does not depend on it, if there are such."""
    if not isinstance(node, Chain):
        return None
    at = next((at for at, part in enumerate(node.parts) if asserts(part)), 0)
    before, after = node.parts[:at], node.parts[at:]
    if at < 2 or any(isinstance(part, Anchor) for part in before[1:]):
        return None
    if looks_back(Chain(after)):
        last = _last_character(before[-1])
        if last is None or looks_back(Chain(after), beyond_a_character=True):
            return None
        before, after = (*before[:-1], last[0]), (last[1], *after)
    return Chain(before), Chain((Anchor("^"), *after))


def _last_character(node: Node) -> tuple[Node, Node] | None:
    """Split the last character from an expression for one or more of a set; None if it is not one."""
    match node:
        case Characters():
            return Chain(()), node
        case Repeat(Characters(), least, most) if least:
            return Repeat(node.part, least - 1, None if most is None else most - 1), node.part
    return None


def _separated(pattern: str) -> list[str]:
    """Return expressions that must all match, with assertions at fixed places in expressions of their own."""
    read_expression(pattern)
    pattern = _ungrouped(_begun(pattern))
    if not pattern.startswith("^") or _has_branches(pattern):
        return [pattern]
    parts: list[str] = []
    kept, at, length = ["^"], 1, 0
    while at < len(pattern):
        if _AHEAD.match(pattern, at):
            end = _end_of_group(pattern, at)
            parts.append(_ahead(pattern[at:end], length))
            at = end
            continue
        atom = _ATOM.match(pattern, at)
        count = _COUNT.match(pattern, atom.end()) if atom else None
        if atom is None or count is None:
            break
        length += int(count[1] or 1)
        kept.append(pattern[at : count.end()])
        at = count.end()
    rest = pattern[at:]
    if behind := _BEHIND_END.search(rest):
        parts.append(behind[0])
        rest = rest[: behind.start()] + "$"
    return [*parts, "".join(kept) + rest]


def _ungrouped(pattern: str) -> str:
    """Return an expression without a group around all of it, such as ``^(...)$``."""
    while group := _GROUP.match(pattern):
        inner = pattern[group.end() : -2]
        if _end_of_group(pattern, 1) != len(pattern) - 1 or not pattern.endswith("$") or _has_branches(inner):
            break
        pattern = f"^{inner}$"
    return pattern


def _begun(pattern: str) -> str:
    """Return an expression with its ``^`` before the lookaheads at its start."""
    at = 0
    while _AHEAD.match(pattern, at):
        at = _end_of_group(pattern, at)
    return (
        f"^{pattern[:at]}{pattern[at + 1 :]}" if pattern.startswith("^", at) and not _has_branches(pattern) else pattern
    )


def _ahead(group: str, length: int) -> str:
    """Return an expression for a lookahead after a number of characters."""
    skipped = f"^[\\s\\S]{{{length}}}" if length else "^"
    inner = group[3:-1]
    if group.startswith("(?!") or has_assertions(inner):
        return f"{skipped}{group}"
    if inner.endswith("$") and not _has_branches(inner) and not _has_anchors(inner[:-1]):
        return f"{skipped}{inner}"
    return f"{skipped}{group}" if _has_anchors(inner) else f"{skipped}(?:{inner})"


def _end_of_group(pattern: str, at: int) -> int:
    depth = 0
    for place, character in _outside_classes(pattern, at):
        depth += (character == "(") - (character == ")")
        if not depth:
            return place + 1
    raise PatternError("a group has no end", invalid=True)


def _has_branches(pattern: str) -> bool:
    """Return True if an expression consists of several alternatives."""
    depth = 0
    for _, character in _outside_classes(pattern, 0):
        depth += (character == "(") - (character == ")")
        if character == "|" and not depth:
            return True
    return False


def _has_anchors(pattern: str) -> bool:
    return any(character in "^$" for _, character in _outside_classes(pattern, 0))


def _outside_classes(pattern: str, at: int) -> list[tuple[int, str]]:
    """Return the characters with a meaning, and their places, from a place on."""
    found: list[tuple[int, str]] = []
    in_class = False
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at += 2
            continue
        if in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        else:
            found.append((at, character))
        at += 1
    return found
