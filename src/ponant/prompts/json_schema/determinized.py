"""Deterministic automata, and the regular expressions of their languages."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from ponant.prompts.json_schema.automaton import FALSE, TOO_COMPLEX, TRUE, Automaton
from ponant.prompts.json_schema.characters import united, written
from ponant.prompts.json_schema.scanner import PatternError

_MOST_STATES = 1_000
_MOST_WRITTEN = 80
_LONGEST = 16_000


@dataclass(frozen=True, slots=True)
class _Table:
    """Transitions of a deterministic automaton: for each state, the next state per class. It begins in state 0."""

    targets: list[tuple[int, ...]]
    accepting: list[bool]


@dataclass(frozen=True, slots=True)
class _Text:
    """Part of a regular expression; ``is_whole`` is True if a quantifier may follow it."""

    text: str
    is_whole: bool


def regular_expression(automaton: Automaton, formula: int) -> str:
    """Return an expression without assertions for the texts that satisfy a formula. Raises PatternError."""
    table = _minimal(_determinized(automaton, formula))
    if len(table.targets) > _MOST_WRITTEN:
        raise PatternError(TOO_COMPLEX)
    return f"^{_eliminated(automaton, table)}$"


def is_same(automaton: Automaton, left: int, right: Sequence[int]) -> bool:
    """Return True if a formula holds for the same texts as all of others together. Raises PatternError."""
    first = left, tuple(right), automaton.start()
    seen, todo = {first}, deque([first])
    while todo:
        one, others, past = todo.popleft()
        if automaton.ends(one, past) != all(automaton.ends(other, past) for other in others):
            return False
        for character in range(len(automaton.classes)):
            moved = tuple(automaton.step(other, character, past) for other in others)
            moved = (FALSE,) if FALSE in moved else tuple(other for other in moved if other != TRUE)
            following = automaton.step(one, character, past), moved, automaton.after(past, character)
            if following not in seen:
                if len(seen) >= _MOST_STATES:
                    raise PatternError(TOO_COMPLEX)
                seen.add(following)
                todo.append(following)
    return True


def _determinized(automaton: Automaton, formula: int) -> _Table:
    first = formula, automaton.start()
    numbers, todo = {first: 0}, deque([first])
    targets: list[tuple[int, ...]] = []
    accepting: list[bool] = []
    while todo:
        now, past = todo.popleft()
        accepting.append(automaton.ends(now, past))
        row = []
        for character in range(len(automaton.classes)):
            moved = automaton.step(now, character, past)
            following = moved, first[1] if moved in (TRUE, FALSE) else automaton.after(past, character)
            if following not in numbers:
                if len(numbers) >= _MOST_STATES:
                    raise PatternError(TOO_COMPLEX)
                numbers[following] = len(numbers)
                todo.append(following)
            row.append(numbers[following])
        targets.append(tuple(row))
    return _Table(targets, accepting)


def _minimal(table: _Table) -> _Table:
    """Return the smallest automaton for the same texts (Moore's algorithm)."""
    groups = [int(accepts) for accepts in table.accepting]
    count = len(set(groups))
    while True:
        numbers: dict[tuple[int, ...], int] = {}
        for state, row in enumerate(table.targets):
            numbers.setdefault((groups[state], *(groups[target] for target in row)), len(numbers))
        groups = [
            numbers[groups[state], *(groups[target] for target in row)] for state, row in enumerate(table.targets)
        ]
        if len(numbers) == count:
            break
        count = len(numbers)
    order = dict.fromkeys([groups[0], *groups])
    place = {group: index for index, group in enumerate(order)}
    example = {group: state for state, group in enumerate(groups)}
    return _Table(
        [tuple(place[groups[target]] for target in table.targets[example[group]]) for group in order],
        [table.accepting[example[group]] for group in order],
    )


def _eliminated(automaton: Automaton, table: _Table) -> str:
    """Return the expression of an automaton by eliminating its states one by one."""
    begin, end = -1, -2
    edges: dict[int, dict[int, _Text]] = {begin: {0: _Text("", is_whole=True)}}
    for state, row in enumerate(table.targets):
        edges[state] = {
            target: _Text(
                written(united(*(automaton.classes[at] for at, other in enumerate(row) if other == target))),
                is_whole=True,
            )
            for target in set(row)
        }
        if table.accepting[state]:
            edges[state][end] = _Text("", is_whole=True)
    left = _useful(edges, end)
    edges = {
        source: {target: text for target, text in row.items() if target in left or target == end}
        for source, row in edges.items()
        if source in left or source == begin
    }
    while left:
        state = min(left, key=lambda one: _weight(edges, one))
        left.remove(state)
        ways = edges.pop(state)
        loop = _starred(ways.pop(state, None))
        for source in [source for source, others in edges.items() if state in others]:
            before = edges[source].pop(state)
            for target, after in ways.items():
                way = _joined(before, loop, after)
                edges[source][target] = _either(edges[source].get(target), way)
                if len(edges[source][target].text) > _LONGEST:
                    raise PatternError(TOO_COMPLEX)
    found = edges[begin].get(end)
    if found is None:
        raise PatternError("no text matches it")
    return _grouped(found)


def _useful(edges: dict[int, dict[int, _Text]], end: int) -> set[int]:
    """Return the states from which the end can be reached."""
    useful = {end}
    while True:
        more = {source for source, row in edges.items() if source >= 0 and not useful.isdisjoint(row)} - useful
        if not more:
            return useful - {end}
        useful |= more


def _weight(edges: dict[int, dict[int, _Text]], state: int) -> int:
    """Return about how much longer the expressions become if a state is eliminated."""
    sources = [len(row[state].text) + 1 for source, row in edges.items() if source != state and state in row]
    targets = [len(text.text) + 1 for target, text in edges[state].items() if target != state]
    loop = len(edges[state][state].text) if state in edges[state] else 0
    return (
        sum(sources) * (len(targets) - 1) + sum(targets) * (len(sources) - 1) + loop * (len(sources) * len(targets) - 1)
    )


def _either(left: _Text | None, right: _Text) -> _Text:
    if left is None or left == right:
        return right
    if not left.text:
        return _optional(right)
    if not right.text:
        return _optional(left)
    return _Text(f"(?:{left.text}|{right.text})", is_whole=True)


def _optional(text: _Text) -> _Text:
    return _Text(f"(?:{text.text})?", is_whole=True)


def _starred(text: _Text | None) -> _Text:
    return _Text(f"{_grouped(text)}*", is_whole=False) if text and text.text else _Text("", is_whole=True)


def _joined(*texts: _Text) -> _Text:
    kept = [text for text in texts if text.text]
    return kept[0] if len(kept) == 1 else _Text("".join(text.text for text in kept), is_whole=not kept)


def _grouped(text: _Text) -> str:
    return text.text if text.is_whole and text.text else f"(?:{text.text})"
