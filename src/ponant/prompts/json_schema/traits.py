"""Traits of regular expressions, and simpler expressions that have fewer of them."""

from collections.abc import Sequence

from ponant.prompts.json_schema.characters import ALL, NEWLINE, Ranges, common, inverted, shorthand
from ponant.prompts.json_schema.expressions import Anchor, Branches, Chain, Characters, Look, Node, Repeat
from ponant.prompts.json_schema.scanner import PatternError

_MOST_CLASSES = 60
_SMALL = 4
"""Counts that do not make an automaton large."""


def asserts(node: Node) -> bool:
    """Return True if an expression has lookarounds or word boundaries."""
    match node:
        case Chain(parts) | Branches(parts):
            return any(map(asserts, parts))
        case Repeat(part):
            return asserts(part)
    return isinstance(node, Look) or (isinstance(node, Anchor) and node.kind in "bB")


def looks_back(node: Node, *, beyond_a_character: bool = False) -> bool:
    """Return True if an expression depends on the text before it, or ``beyond_a_character`` of it."""
    match node:
        case Chain(parts) | Branches(parts):
            return any(looks_back(part, beyond_a_character=beyond_a_character) for part in parts)
        case Repeat(part):
            return looks_back(part, beyond_a_character=beyond_a_character)
        case Look(part, behind):
            return behind or looks_back(part, beyond_a_character=beyond_a_character)
    return isinstance(node, Anchor) and node.kind not in ("$bB" if beyond_a_character else "$")


def without_assertions(node: Node) -> Node:
    """Return an expression without its lookarounds and word boundaries."""
    match node:
        case Chain(parts) | Branches(parts):
            return type(node)(tuple(map(without_assertions, parts)))
        case Repeat(part, least, most):
            return Repeat(without_assertions(part), least, most)
        case Look() | Anchor("b" | "B"):
            return Chain(())
    return node


def without_counts(node: Node) -> Node:
    """Return an expression whose counted repetitions are unlimited."""
    match node:
        case Chain(parts) | Branches(parts):
            return type(node)(tuple(map(without_counts, parts)))
        case Repeat(part, least, most):
            small = (most or least) <= _SMALL
            return Repeat(without_counts(part), *((least, most) if small else (min(least, 1), None)))
        case Look(part, behind, negative):
            return Look(part, behind, negative)
    return node


def classes_of(nodes: Sequence[Node]) -> list[Ranges]:
    """Divide the characters into classes that no expression distinguishes. Raises PatternError for too many."""
    sets: dict[Ranges, None] = {NEWLINE: None}
    if depends_on_words(nodes):
        sets |= dict.fromkeys(shorthand("w"))
    todo = list(nodes)
    while todo:
        match todo.pop():
            case Characters(both):
                sets |= dict.fromkeys(both)
            case Chain(parts) | Branches(parts):
                todo += parts
            case Repeat(part) | Look(part):
                todo.append(part)
    classes = [ALL]
    for ranges in sets:
        outside = inverted(ranges)
        classes = [part for one in classes for part in (common(one, ranges), common(one, outside)) if part]
        if len(classes) > _MOST_CLASSES:
            raise PatternError("it has too many sets of characters next to its lookarounds")
    return classes


def depends_on_words(nodes: Sequence[Node]) -> bool:
    """Return True if expressions have word boundaries."""
    todo = list(nodes)
    while todo:
        match todo.pop():
            case Anchor("b" | "B"):
                return True
            case Chain(parts) | Branches(parts):
                todo += parts
            case Repeat(part) | Look(part):
                todo.append(part)
    return False


def is_anchored(node: Node) -> bool:
    """Return True if an expression matches at the start of a text only."""
    match node:
        case Anchor("^"):
            return True
        case Chain((first, *_)):
            return is_anchored(first)
        case Branches(parts):
            return all(map(is_anchored, parts))
    return False
