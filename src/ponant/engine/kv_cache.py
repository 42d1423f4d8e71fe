"""What the KV cache holds: which tokens are computed in which slot, which cells are shared, what is kept for later.

A slot is a sequence in llama.cpp's terms; a cell holds the keys and values of one token. Slots that begin with the
same tokens share their cells. Finished sequences stay in their slots until the room is needed, least recently used
out first.
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


Operation = Empty | Share


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


class KVCache:
    """The bookkeeping of ``cells`` cells and ``slots`` slots.

    With ``retained`` above 0, sequences share cells, and finished ones with up to that many tokens in all are kept.
    What llama.cpp has to do to follow suit is collected in ``take_operations``.
    """

    def __init__(self, *, cells: int, slots: int, retained: int) -> None:
        self._most_retained = retained
        self._users = np.zeros(cells, dtype=np.int32)
        self._free_cells = list(range(cells - 1, -1, -1))
        self._free_slots = list(range(slots - 1, -1, -1))
        self._cells_of: dict[int, list[int]] = {}
        self._tokens_of: dict[int, list[int]] = {}
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
        return len(self._cells_of[slot])

    def take_operations(self) -> list[Operation]:
        """What to do, in this order, before the next batch."""
        operations, self._operations = self._operations, []
        return operations

    def enter(self, tokens: list[int], *, reuse: bool) -> int:
        """Give a sequence a slot.

        Args:
            tokens: the sequence's tokens; the list may grow as it goes on.
            reuse: whether to ``catch_up`` at once.
        """
        slot = self._free_slot()
        self._tokens_of[slot] = tokens
        self._cells_of[slot] = []
        if reuse:
            self.catch_up(slot)
        return slot

    def catch_up(self, slot: int) -> None:
        """Let a slot begin with as much as any other slot has of the same tokens; the last token is left out."""
        source, length = self._best_source(slot)
        if length >= max(self.length(slot) + 1, _SHORTEST_SHARED):
            self.share(source, slot, length)

    def share(self, source: int, target: int, length: int) -> None:
        """Let a slot begin with the cells of another one, in place of what it has."""
        if self._cells_of[target]:
            self._release(target)
            self._operations.append(Empty(target))
        shared = self._cells_of[source][:length]
        self._users[shared] += 1
        self._cells_of[target] = shared
        self._operations.append(Share(source, target, length))
        if source in self._retained:
            self._retained.move_to_end(source)

    def extend(self, slot: int, count: int) -> None:
        """Note that ``count`` more tokens of a slot are computed. There must be as many free cells."""
        new = [self._free_cells.pop() for _ in range(count)]
        self._users[new] = 1
        self._cells_of[slot] += new

    def leave(self, slot: int, *, keep: bool) -> None:
        """End the use of a slot; what it holds is kept for others if that is wanted and useful."""
        if keep and self._is_worth_keeping(slot):
            self._tokens_of[slot] = self._tokens_of[slot][: self.length(slot)]
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

    def _free_slot(self) -> int:
        if not self._free_slots:
            self.evict()
        return self._free_slots.pop()

    def _best_source(self, target: int) -> tuple[int, int]:
        best, best_length = target, 0
        if not self.shares:
            return best, best_length
        tokens = self._tokens_of[target]
        for slot, cells in self._cells_of.items():
            length = common_prefix(tokens, self._tokens_of[slot], min(len(cells), len(tokens) - 1))
            if length > best_length:
                best, best_length = slot, length
        return best, best_length

    def _is_worth_keeping(self, slot: int) -> bool:
        length = self.length(slot)
        if not _SHORTEST_SHARED <= length <= self._most_retained:
            return False
        tokens = self._tokens_of[slot]
        return not any(
            self.length(other) >= length and common_prefix(tokens, self._tokens_of[other], length) == length
            for other in self._retained
        )

    def _drop_what_begins(self, slot: int) -> None:
        """Drop the kept sequences that this slot's begins with: they have nothing more to give."""
        tokens = self._tokens_of[slot]
        for other in list(self._retained):
            length = self.length(other)
            if length <= self.length(slot) and common_prefix(tokens, self._tokens_of[other], length) == length:
                del self._retained[other]
                self._empty(other)

    def _limit_retained(self) -> None:
        total = sum(self.length(slot) for slot in self._retained)
        while total > self._most_retained:
            total -= self.length(next(iter(self._retained)))
            self.evict()

    def _empty(self, slot: int) -> None:
        self._release(slot)
        del self._cells_of[slot], self._tokens_of[slot]
        self._free_slots.append(slot)
        self._operations.append(Empty(slot))

    def _release(self, slot: int) -> None:
        cells: NDArray[np.intp] = np.array(self._cells_of[slot], dtype=np.intp)
        self._users[cells] -= 1
        self._free_cells += cells[self._users[cells] == 0].tolist()
