"""Automata of regular expressions with assertions.

An expression becomes a nondeterministic automaton per dialect. The condition on the rest of a text is a formula: a set
of alternatives, each of which is a state of the automaton and a set of nested conditions, which come from lookaheads.
Lookbehinds and word boundaries depend on the past of the text. Both change with each character, and both are numbered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ponant.prompts.json_schema.characters import NEWLINE, Ranges, common, shorthand
from ponant.prompts.json_schema.expressions import Anchor, Branches, Chain, Characters, Look, Node, Repeat
from ponant.prompts.json_schema.scanner import PatternError
from ponant.prompts.json_schema.traits import classes_of, depends_on_words, is_anchored

_MOST_STATES = 4_000
_MOST_WORK = 250_000
"""Limit of the transitions that are followed, about half a second of work."""
TOO_COMPLEX = "it is too complex to follow with its lookarounds"


_Condition = tuple[int, bool]
"""A formula, and True if it must hold for the rest of the text, False if it must not."""

_Conditions = frozenset[_Condition]

_Alternative = tuple[int | None, _Conditions]
"""A state from which the rest must match, None for any rest; and conditions on the rest."""

TRUE = 0
"""Formula that holds for any rest of a text."""
FALSE = 1
"""Formula that holds for none."""

_NONE: _Conditions = frozenset()


@dataclass(frozen=True, slots=True)
class _Past:
    """The part of the text before a place, as far as assertions depend on it.

    Attributes:
        start: True at the start of the text.
        words: True if the last character is a word character, in ECMAScript and in Python.
        behind: states of each lookbehind.
    """

    start: bool
    words: tuple[bool, bool]
    behind: tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class _Guard:
    """An assertion before a transition.

    ``kind`` is an anchor, ``ahead`` or ``behind``; ``place`` is the state of a lookahead or the index of a lookbehind.
    """

    kind: str
    place: int = 0
    negative: bool = False


_Step = tuple[_Conditions, int | None, int]
"""Conditions, the set of classes of the next character (None at the end of the match), and the next state."""


class Automaton:
    """Automaton of several expressions, over classes of characters that none of them distinguishes.

    Attributes:
        classes: sets of characters.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Divide the characters into classes. Raises PatternError if there are too many."""
        self.classes = classes_of(nodes)
        self._masks: dict[Ranges, int] = {}
        self._words = tuple(self._mask(word) for word in shorthand("w")) if depends_on_words(nodes) else (0, 0)
        self._free: list[list[tuple[_Guard | None, int]]] = []
        self._reading: list[list[tuple[int, int]]] = []
        self._behind: list[tuple[int, int]] = []
        self._accepting: set[int] = set()
        self._formulas: list[frozenset[_Alternative]] = [frozenset({(None, _NONE)}), frozenset()]
        self._numbers = {formula: number for number, formula in enumerate(self._formulas)}
        self._pasts: list[_Past] = []
        self._past_numbers: dict[_Past, int] = {}
        self._closures: dict[tuple[int, int], list[_Step]] = {}
        self._stepped: dict[tuple[int, int, int], int] = {}
        self._after: dict[tuple[int, int], int] = {}
        self._sure: dict[int, bool] = {}
        self._ended: dict[tuple[int, int], bool] = {}
        self._work = 0
        self._any = (1 << len(self.classes)) - 1
        self._end = self._state(accepting=False)
        self._newline = self._state(accepting=False)
        self._link(self._newline, self._mask(NEWLINE), self._end)

    def formula(self, node: Node, *, dialects: Sequence[int] = (0, 1)) -> int:
        """Return the condition that a text matches an expression somewhere, in both dialects or in one."""
        found = [self._number(frozenset({(self._searching(node, dialect), _NONE)})) for dialect in dialects]
        return self.all_of(found)

    def all_of(self, formulas: Sequence[int]) -> int:
        """Return the condition that several hold."""
        return self._number(frozenset({(None, frozenset((formula, True) for formula in formulas))}))

    def any_of(self, formulas: Sequence[int]) -> int:
        """Return the condition that one of several holds."""
        return self._number(frozenset().union(*(self._formulas[formula] for formula in formulas)))

    def start(self) -> int:
        """Return the past at the start of a text. All formulas must have been made before."""
        now = _Past(start=True, words=(False, False), behind=())
        behind = tuple(self._past_closure({first}, now) for first, _ in self._behind)
        return self._past_number(_Past(start=True, words=now.words, behind=behind))

    def step(self, formula: int, character: int, past: int) -> int:
        """Return the condition on the rest of the text after a character of a class."""
        if formula in (TRUE, FALSE):
            return formula
        key = formula, character, past
        found = self._stepped.get(key)
        if found is None:
            found = self._stepped[key] = self._step(formula, character, past)
        return found

    def after(self, past: int, character: int) -> int:
        """Return the past after a character of a class."""
        key = past, character
        found = self._after.get(key)
        if found is None:
            found = self._after[key] = self._past_number(self._past_after(self._pasts[past], character))
        return found

    def ends(self, formula: int, past: int) -> bool:
        """Return True if the condition holds at the end of the text."""
        key = formula, past
        found = self._ended.get(key)
        if found is None:
            found = self._ended[key] = any(
                self._all_end(conditions, past) and (state is None or self._ends_in(state, past))
                for state, conditions in self._formulas[formula]
            )
        return found

    def _number(self, formula: frozenset[_Alternative]) -> int:
        number = self._numbers.setdefault(formula, len(self._formulas))
        if number == len(self._formulas):
            self._formulas.append(formula)
        return number

    def _past_number(self, past: _Past) -> int:
        number = self._past_numbers.setdefault(past, len(self._pasts))
        if number == len(self._pasts):
            self._pasts.append(past)
        return number

    def _past_after(self, past: _Past, character: int) -> _Past:
        words = (bool(self._words[0] >> character & 1), bool(self._words[1] >> character & 1))
        now = _Past(start=False, words=words, behind=())
        behind = []
        for (first, _), states in zip(self._behind, past.behind, strict=True):
            moved = {target for state in states for mask, target in self._reading[state] if mask >> character & 1}
            behind.append(self._past_closure({*moved, first}, now))
        return _Past(start=False, words=words, behind=tuple(behind))

    def _all_end(self, conditions: _Conditions, past: int) -> bool:
        return all(self.ends(formula, past) == holds for formula, holds in conditions)

    def _ends_in(self, state: int, past: int) -> bool:
        if state in (self._end, self._newline):
            return True
        return any(
            mask is None and self._all_end(conditions, past) for conditions, mask, _ in self._closure(state, past)
        )

    def _step(self, formula: int, character: int, past: int) -> int:
        found: set[_Alternative] = set()
        for state, conditions in self._formulas[formula]:
            kept = self._moved(conditions, character, past)
            if kept is None:
                continue
            if state is None:
                found.add((None, kept))
                continue
            steps = self._closure(state, past)
            self._count(len(steps))
            for more, mask, target in steps:
                if mask is None or mask >> character & 1:
                    both = self._moved(more, character, past) if more else _NONE
                    if both is not None:
                        found.add((None if mask is None or self._is_sure(target) else target, kept | both))
        if (None, _NONE) in found:
            return TRUE
        self._count(len(found) ** 2 // 8)
        return self._number(
            frozenset(
                one
                for one in found
                if not any(other is not one and other[0] in (None, one[0]) and other[1] < one[1] for other in found)
            )
        )

    def _moved(self, conditions: _Conditions, character: int, past: int) -> _Conditions | None:
        """Return conditions after a character, without those that hold; None if one of them fails."""
        moved: set[_Condition] = set()
        for condition, holds in conditions:
            formula = self.step(condition, character, past)
            if formula in (TRUE, FALSE):
                if (formula == TRUE) != holds:
                    return None
                continue
            moved.add((formula, holds))
        return frozenset(moved)

    def _closure(self, start: int, past: int) -> list[_Step]:
        """Return the steps that are possible from a state without reading a character before."""
        key = start, past
        if key in self._closures:
            return self._closures[key]
        steps: list[_Step] = []
        todo: list[tuple[int, _Conditions]] = [(start, _NONE)]
        seen = set(todo)
        while todo:
            state, conditions = todo.pop()
            if state in self._accepting:
                steps.append((conditions, None, 0))
            steps += [(conditions, mask, target) for mask, target in self._reading[state]]
            self._count(1 + len(self._free[state]))
            for guard, target in self._free[state]:
                more = self._guarded(guard, self._pasts[past])
                if more is not None and (target, conditions | more) not in seen:
                    seen.add((target, conditions | more))
                    todo.append((target, conditions | more))
        self._closures[key] = steps
        return steps

    def _is_sure(self, state: int) -> bool:
        """Return True if a match ends in a state, whatever the rest is."""
        known = self._sure.get(state)
        if known is None:
            todo, seen = [state], {state}
            while todo and not self._accepting & seen:
                more = {target for guard, target in self._free[todo.pop()] if guard is None} - seen
                seen |= more
                todo += more
            known = self._sure[state] = bool(self._accepting & seen)
        return known

    def _guarded(self, guard: _Guard | None, past: _Past) -> _Conditions | None:
        """Return the conditions of an assertion on the rest; None if it fails."""
        if guard is None:
            return _NONE
        match guard.kind:
            case "^":
                return _NONE if past.start else None
            case "ahead":
                return frozenset({(self._number(frozenset({(guard.place, _NONE)})), not guard.negative)})
            case "behind":
                holds = self._behind[guard.place][1] in past.behind[guard.place]
                return None if holds == guard.negative else _NONE
        after, dialect = divmod(guard.place, 2)
        word = self._number(frozenset({(after, _NONE)}))
        return frozenset({(word, past.words[dialect] == guard.negative)})

    def _past_closure(self, states: set[int], past: _Past) -> frozenset[int]:
        todo, found = list(states), set(states)
        while todo:
            self._count(1)
            for guard, target in self._free[todo.pop()]:
                if target not in found and (guard is None or (guard.kind == "^" and past.start)):
                    found.add(target)
                    todo.append(target)
        return frozenset(found)

    def _searching(self, node: Node, dialect: int) -> int:
        """Return the first state of a search for an expression."""
        begin, end = self._build(node, dialect)
        self._accepting.add(end)
        first = self._state(accepting=False)
        self._free[first].append((None, begin))
        if not is_anchored(node):
            self._link(first, self._any, first)
        return first

    def _build(self, node: Node, dialect: int, *, behind: bool = False) -> tuple[int, int]:
        """Build the states of an expression; return the first and the last."""
        begin, end = self._state(accepting=False), self._state(accepting=False)
        match node:
            case Characters(sets):
                self._link(begin, self._mask(sets[dialect]), end)
            case Chain(parts):
                last = begin
                for part in parts:
                    first, after = self._build(part, dialect, behind=behind)
                    self._free[last].append((None, first))
                    last = after
                self._free[last].append((None, end))
            case Branches(parts):
                for part in parts:
                    first, last = self._build(part, dialect, behind=behind)
                    self._free[begin].append((None, first))
                    self._free[last].append((None, end))
            case Repeat(part, least, most):
                last = begin
                for count in range(least if most is None else most):
                    if count >= least:
                        self._free[last].append((None, end))
                    first, after = self._build(part, dialect, behind=behind)
                    self._free[last].append((None, first))
                    last = after
                if most is None:
                    first, after = self._build(part, dialect, behind=behind)
                    self._free[last].append((None, first))
                    self._free[after] += [(None, first), (None, end)]
                self._free[last].append((None, end))
            case _ if behind and not (isinstance(node, Anchor) and node.kind == "^"):
                raise PatternError("assertions within a lookbehind are not supported")
            case _:
                self._free[begin].append((self._guard(node, dialect), end))
        return begin, end

    def _guard(self, node: Node, dialect: int) -> _Guard:
        match node:
            case Anchor("$"):
                return _Guard("ahead", self._newline if dialect else self._end)
            case Anchor("^"):
                return _Guard("^")
            case Anchor(kind):
                after = self._state(accepting=False)
                word = self._state(accepting=True)
                self._link(after, self._words[dialect], word)
                return _Guard("edge", 2 * after + dialect, negative=kind == "B")
            case Look(part, behind, negative):
                begin, end = self._build(part, dialect, behind=behind)
                if behind:
                    self._behind.append((begin, end))
                    return _Guard("behind", len(self._behind) - 1, negative)
                self._accepting.add(end)
                return _Guard("ahead", begin, negative)
        raise AssertionError("not an assertion")

    def _count(self, work: int) -> None:
        self._work += work
        if self._work > _MOST_WORK:
            raise PatternError(TOO_COMPLEX)

    def _state(self, *, accepting: bool) -> int:
        if len(self._free) >= _MOST_STATES:
            raise PatternError(TOO_COMPLEX)
        self._free.append([])
        self._reading.append([])
        if accepting:
            self._accepting.add(len(self._free) - 1)
        return len(self._free) - 1

    def _link(self, source: int, mask: int, target: int) -> None:
        if mask:
            self._reading[source].append((mask, target))

    def _mask(self, ranges: Ranges) -> int:
        """Return the classes of a set, one bit each."""
        found = self._masks.get(ranges)
        if found is None:
            found = sum(1 << index for index, one in enumerate(self.classes) if common(one, ranges))
            self._masks[ranges] = found
        return found
