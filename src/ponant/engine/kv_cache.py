"""What the KV cache holds: which tokens are computed in which slot, which cells are shared, what is kept for later.

A slot is a sequence in llama.cpp's terms; a cell holds the keys and values of one token. Slots that begin with the
same tokens share their cells, if they are computed with the same adapter: with another one the keys and values of the
same tokens are others. Finished sequences stay in their slots until the room is needed, least recently used out first.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PIECE = 64
"""Where pieces of a prompt end that can be taken over by a sequence that must come out the same: at multiples of it."""

_SHORTEST_SHARED = 8
"""Tokens that two sequences must have in common for one to take over the other's cells."""


@dataclass(frozen=True, slots=True)
class Empty:
    """Forget what a slot holds."""

    slot: int


@dataclass(frozen=True, slots=True)
class Share:
    """Give an empty slot the first ``length`` cells of another one."""

    source: int
    target: int
    length: int


@dataclass(frozen=True, slots=True)
class Trim:
    """Forget what a slot holds beyond its first ``length`` tokens."""

    slot: int
    length: int


Operation = Empty | Share | Trim


def common_prefix(first: list[int], second: list[int], limit: int) -> int:
    """How many tokens both begin with, ``limit`` at the most."""
    high = min(len(first), len(second), limit)
    if first[:high] == second[:high]:
        return high
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle
    return low


@dataclass(slots=True)
class _Slot:
    """What a slot holds.

    ``tokens`` may be longer than what is computed of it, one cell per token. The first ``prompt_length`` of them were
    a prompt, of which the first ``repeatable`` came about as they always do: alone, from an empty cache, in pieces.
    ``adapter`` is what they are computed with.
    """

    tokens: list[int]
    prompt_length: int
    adapter: str | None = None
    cells: list[int] = field(default_factory=list[int])
    repeatable: int = 0


class KVCache:
    """The bookkeeping of ``cells`` cells and ``slots`` slots.

    With ``retained`` above 0, sequences share cells, and finished ones are kept: the last one, and others with up to
    that many tokens in all.
    What llama.cpp has to do to follow suit is collected in ``take_operations``.
    """

    def __init__(self, *, cells: int, slots: int, retained: int) -> None:
        self._most_retained = retained
        self._users = np.zeros(cells, dtype=np.int32)
        self._free_cells = list(range(cells - 1, -1, -1))
        self._free_slots = list(range(slots - 1, -1, -1))
        self._slots: dict[int, _Slot] = {}
        self._retained: OrderedDict[int, None] = OrderedDict()
        self._operations: list[Operation] = []

    @property
    def shares(self) -> bool:
        """Whether sequences share cells."""
        return self._most_retained > 0

    @property
    def free(self) -> int:
        """Cells that nobody uses."""
        return len(self._free_cells)

    def length(self, slot: int) -> int:
        """How many tokens are computed in a slot."""
        return len(self._slots[slot].cells)

    def take_operations(self) -> list[Operation]:
        """What to do, in this order, before the next batch."""
        operations, self._operations = self._operations, []
        return operations

    def enter(self, tokens: list[int], prompt_length: int, adapter: str | None = None) -> int:
        """Give a sequence an empty slot; the list of its tokens may grow as it goes on."""
        slot = self._free_slot()
        self._slots[slot] = _Slot(tokens, prompt_length, adapter)
        return slot

    def catch_up(self, slot: int) -> None:
        """Let a slot begin with as much as any other slot has of the same tokens; the last token is left out."""
        source, length = self._best_source(slot)
        if length >= max(self.length(slot) + 1, _SHORTEST_SHARED):
            self.share(source, slot, length)

    def share(self, source: int, target: int, length: int) -> None:
        """Let a slot begin with the cells of another one, in place of what it has."""
        if self._slots[target].cells:
            self._release(self._slots[target].cells)
            self._operations.append(Empty(target))
        given, taking = self._slots[source], self._slots[target]
        taking.cells = given.cells[:length]
        taking.repeatable = min(given.repeatable, length // PIECE * PIECE)
        self._users[taking.cells] += 1
        self._operations.append(Share(source, target, length))
        if source in self._retained:
            self._retained.move_to_end(source)

    def extend(self, slot: int, count: int, *, repeatable: bool = False) -> None:
        """Note that ``count`` more tokens of a slot are computed. There must be as many free cells.

        ``repeatable``: whether they came about as they always do, and so did all before them.
        """
        new = [self._free_cells.pop() for _ in range(count)]
        self._users[new] = 1
        held = self._slots[slot]
        held.cells += new
        if repeatable:
            held.repeatable = min(len(held.cells), held.prompt_length) // PIECE * PIECE

    def forget_drafts(self, slot: int) -> None:
        """Drop what was computed for a slot in vain."""
        self._operations.append(Trim(slot, self.length(slot)))

    def leave(self, slot: int, *, keep: bool) -> None:
        """End the use of a slot; what it holds is kept for others if that is wanted and useful."""
        if keep and self._is_worth_keeping(slot):
            self._slots[slot].tokens = self._slots[slot].tokens[: self.length(slot)]
            self._drop_what_begins(slot)
            self._retained[slot] = None
            self._limit_retained()
        else:
            self._empty(slot)

    def evict(self) -> bool:
        """Drop the least recently used of the finished sequences; False if there is none."""
        if not self._retained:
            return False
        slot, _ = self._retained.popitem(last=False)
        self._empty(slot)
        return True

    def clear(self) -> None:
        """Drop everything that is kept for others."""
        while self.evict():
            pass

    def forget_adapter(self, adapter: str) -> None:
        """Drop everything that is kept of an adapter."""
        for slot in [slot for slot in self._retained if self._slots[slot].adapter == adapter]:
            del self._retained[slot]
            self._empty(slot)

    def clear_for(self, prompt: list[int], adapter: str | None = None) -> None:
        """Drop everything that is kept but what would be the same if this prompt were computed now, from nothing."""
        for slot in list(self._retained):
            held = self._slots[slot]
            most = min(held.repeatable, len(prompt) - 1) if held.adapter == adapter else 0
            self._shorten(slot, common_prefix(prompt, held.tokens, most))

    def cut_back(self, prompt: list[int], adapter: str | None = None) -> None:
        """Drop the last piece of this prompt, and all after it, where exactly this prompt is kept.

        What is computed in its place is computed as it was then: in one piece, and in the same cells.
        """
        for slot in list(self._retained):
            held = self._slots[slot]
            same_length = held.prompt_length == len(prompt)
            if same_length and held.adapter == adapter and held.tokens[: len(prompt)] == prompt:
                self._shorten(slot, len(prompt) - 1)

    def _shorten(self, slot: int, most: int) -> None:
        """Leave at most that many tokens of a kept sequence, in whole pieces."""
        length = most // PIECE * PIECE
        held = self._slots[slot]
        if length == 0:
            del self._retained[slot]
            self._empty(slot)
        elif length < len(held.cells):
            self._release(held.cells[length:])
            held.tokens, held.cells = held.tokens[:length], held.cells[:length]
            held.prompt_length = min(held.prompt_length, length)
            held.repeatable = min(held.repeatable, length)
            self._operations.append(Trim(slot, length))

    def _free_slot(self) -> int:
        if not self._free_slots:
            self.evict()
        return self._free_slots.pop()

    def _best_source(self, target: int) -> tuple[int, int]:
        best, best_length = target, 0
        if not self.shares:
            return best, best_length
        tokens, adapter = self._slots[target].tokens, self._slots[target].adapter
        for slot, held in self._slots.items():
            if held.adapter != adapter:
                continue
            length = common_prefix(tokens, held.tokens, min(len(held.cells), len(tokens) - 1))
            if length > best_length:
                best, best_length = slot, length
        return best, best_length

    def _is_worth_keeping(self, slot: int) -> bool:
        length = self.length(slot)
        if not self.shares or length < _SHORTEST_SHARED:
            return False
        return not any(self._begins_with(other, slot) for other in self._retained)

    def _drop_what_begins(self, slot: int) -> None:
        """Drop the kept sequences that this slot's begins with: they have nothing more to give."""
        for other in list(self._retained):
            if self._begins_with(slot, other):
                del self._retained[other]
                self._empty(other)

    def _begins_with(self, slot: int, other: int) -> bool:
        """Whether what is computed in one slot begins with what is computed in the other."""
        length = self.length(other)
        longer, shorter = self._slots[slot], self._slots[other]
        if length > self.length(slot) or longer.adapter != shorter.adapter:
            return False
        return common_prefix(longer.tokens, shorter.tokens, length) == length

    def _limit_retained(self) -> None:
        total = sum(self.length(slot) for slot in self._retained)
        while total > self._most_retained and len(self._retained) > 1:
            total -= self.length(next(iter(self._retained)))
            self.evict()

    def _empty(self, slot: int) -> None:
        self._release(self._slots.pop(slot).cells)
        self._free_slots.append(slot)
        self._operations.append(Empty(slot))

    def _release(self, cells: list[int]) -> None:
        released: NDArray[np.intp] = np.array(cells, dtype=np.intp)
        self._users[released] -= 1
        self._free_cells += released[self._users[released] == 0].tolist()
