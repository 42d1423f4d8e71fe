"""What the KV cache holds: which tokens are computed in which slot, which cells are shared, what is kept for later.

A slot is a sequence in llama.cpp's terms; a cell holds the keys and values of one token. Slots that begin with the
same tokens share their cells, if they are computed with the same adapter: with another one the keys and values of the
same tokens are others. Finished sequences stay in their slots until others are computed or the room is needed. Then
they move to the prefix store, from where they can come back.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ponant.engine.llama.block_trie import BLOCK
from ponant.engine.llama.prefix_index import SHORTEST_SHARED, Computed, PrefixIndex, Reuse
from ponant.engine.llama.prefix_store import PrefixStore, Segment, path_of


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


@dataclass(frozen=True, slots=True)
class Save:
    """Copy the keys and values of a segment's tokens from a slot that has them, by way of an empty one."""

    slot: int
    segment: Segment
    spare: int


@dataclass(frozen=True, slots=True)
class Restore:
    """Let a slot with ``start`` tokens go on with a segment's tokens up to ``end``, by way of an empty slot."""

    slot: int
    segment: Segment
    spare: int
    start: int
    end: int


Operation = Empty | Share | Trim | Save | Restore


@dataclass(eq=False, slots=True)
class _Slot(Computed):
    """What a slot holds. ``tokens`` may be longer than what is computed of it, one cell per token."""

    cells: list[int] = field(default_factory=list[int])
    reuse: Reuse = "anything"


class KVCache:
    """The bookkeeping of ``cells`` cells and ``slots`` slots.

    With a ``store``, sequences share cells, and finished ones are kept; llama.cpp must then have one slot more.
    What llama.cpp has to do to follow suit is collected in ``take_operations``.
    """

    def __init__(self, *, cells: int, slots: int, store: PrefixStore | None) -> None:
        self._store = store
        self._spare = slots
        self._users = np.zeros(cells, dtype=np.int32)
        self._free_cells = list(range(cells - 1, -1, -1))
        self._free_slots = list(range(slots - 1, -1, -1))
        self._slots: dict[int, _Slot] = {}
        self._kept: OrderedDict[int, None] = OrderedDict()
        self._kept_index = PrefixIndex[int]()
        self._used_index = PrefixIndex[int]()
        self._grown: set[int] = set()
        self._operations: list[Operation] = []

    @property
    def shares(self) -> bool:
        """Whether sequences share cells."""
        return self._store is not None

    @property
    def free(self) -> int:
        """Cells that nobody uses."""
        return len(self._free_cells)

    @property
    def used(self) -> int:
        """Number of cells that sequences use, running or finished ones."""
        return len(self._users) - self.free

    @property
    def kept(self) -> int:
        """Number of cells that only finished sequences use."""
        users = np.zeros_like(self._users)
        for slot in self._kept:
            users[self._slots[slot].cells] += 1
        return int(np.count_nonzero((users > 0) & (users == self._users)))

    @property
    def stored(self) -> int:
        """Number of tokens in the prefix store."""
        return self._store.size if self._store else 0

    def length(self, slot: int) -> int:
        """How many tokens are computed in a slot."""
        return len(self._slots[slot].cells)

    def take_operations(self) -> list[Operation]:
        """What to do, in this order, before the next batch."""
        operations, self._operations = self._operations, []
        return operations

    def enter(
        self, tokens: list[int], prompt_length: int, adapter: str | None = None, reuse: Reuse = "anything"
    ) -> int:
        """Give a sequence an empty slot; the list of its tokens may grow as it goes on."""
        slot = self._free_slot()
        self._slots[slot] = _Slot(tokens, prompt_length, adapter, reuse=reuse)
        return slot

    def catch_up(self, slot: int) -> None:
        """Let a slot begin with as much as any other slot has of the same tokens; the last token is left out."""
        source, length = self._best_source(slot)
        if length >= max(self.length(slot) + 1, SHORTEST_SHARED):
            self.share(source, slot, length)

    def share(self, source: int, target: int, length: int) -> None:
        """Let a slot begin with the cells of another one, in place of what it has."""
        if self._slots[target].cells:
            self._release(self._slots[target].cells)
            self._used_index.remove(target)
            self._operations.append(Empty(target))
        given, taking = self._slots[source], self._slots[target]
        taking.cells = given.cells[:length]
        taking.repeatable = min(given.repeatable, length // BLOCK * BLOCK)
        self._users[taking.cells] += 1
        self._grown.add(target)
        self._operations.append(Share(source, target, length))
        if source in self._kept:
            self._kept.move_to_end(source)

    def restore(self, slot: int, more_than: int) -> None:
        """Let a slot go on with what the store has of the same tokens, but for the last one.

        It does so only for some tokens more than it has, and ``more_than`` so many.
        """
        held = self._slots[slot]
        best, length = self._store.best(held, held.reuse) if self._store else (None, 0)
        if self._store is None or best is None or length < max(more_than, len(held.cells)) + SHORTEST_SHARED:
            return
        self._store.touch(best)
        path = path_of(best)
        ends = [min(later.start, length) for later in path[1:]] + [length]
        for segment, end in zip(path, ends, strict=True):
            start = len(held.cells)
            if start >= end:
                continue
            if segment.size > self.free:  # all of it must go in for a moment
                break
            self._operations.append(Restore(slot, segment, self._spare, start, end))
            self._take_cells(slot, end - start)
            if held.repeatable == start:
                held.repeatable = max(start, min(segment.repeatable, end // BLOCK * BLOCK))

    def extend(self, slot: int, count: int, *, repeatable: bool = False) -> None:
        """Note that ``count`` more tokens of a slot are computed. There must be as many free cells.

        ``repeatable``: whether they came about as they always do, and so did all before them.
        """
        held = self._slots[slot]
        self._take_cells(slot, count)
        if repeatable:
            held.repeatable = min(len(held.cells), held.prompt_length) // BLOCK * BLOCK

    def forget_drafts(self, slot: int) -> None:
        """Drop what was computed for a slot in vain."""
        self._operations.append(Trim(slot, self.length(slot)))

    def leave(self, slot: int, *, keep: bool) -> None:
        """End the use of a slot; what it holds is kept for others if that is wanted and useful."""
        if keep and self._is_worth_keeping(slot):
            self._keep(slot)
        else:
            self._empty(slot)

    def evict(self) -> bool:
        """Move the least recently used of the finished sequences to the store; False if there is none."""
        if not self._kept:
            return False
        self._move_out(next(iter(self._kept)))
        return True

    def move_out(self) -> None:
        """Move finished sequences to the store, but for those whose cells are all in use anyway."""
        for slot in list(self._kept):
            if (self._users[self._slots[slot].cells] == 1).any():
                self._move_out(slot)

    def clear(self) -> None:
        """Drop everything that is kept for others."""
        for slot in list(self._kept):
            self._drop(slot)
        if self._store:
            self._store.clear()

    def forget_adapter(self, adapter: str) -> None:
        """Drop everything that is kept of an adapter."""
        for slot in [slot for slot in self._kept if self._slots[slot].adapter == adapter]:
            self._drop(slot)
        if self._store:
            self._store.forget_adapter(adapter)

    def _free_slot(self) -> int:
        if not self._free_slots:
            self.evict()
        return self._free_slots.pop()

    def _best_source(self, target: int) -> tuple[int, int]:
        """Return the slot of which another one can reuse most, and the number of tokens."""
        if not self.shares:
            return target, 0
        for slot in self._grown - {target}:
            self._used_index.put(slot, self._slots[slot], self.length(slot))
        self._used_index.remove(target)
        self._grown = {target}
        held = self._slots[target]
        kept, used = self._kept_index.best(held, held.reuse), self._used_index.best(held, held.reuse)
        source, length = used if used[1] > kept[1] else kept
        return (target, 0) if source is None else (source, length)

    def _is_worth_keeping(self, slot: int) -> bool:
        """Return True unless a slot holds too little, or a kept sequence begins with it."""
        length = self.length(slot)
        if not self.shares or length < SHORTEST_SHARED:
            return False
        return self._kept_index.longest(self._slots[slot], length)[1] < length

    def _keep(self, slot: int) -> None:
        """Keep what a slot holds, in place of the kept sequence that it begins with.

        There is at most one: no kept sequence begins with another. So it has the longest prefix in common with this.
        """
        held = self._slots[slot]
        held.tokens = held.tokens[: self.length(slot)]
        other, common = self._kept_index.longest(held, len(held.tokens))
        if other is not None and common == self.length(other):
            self._drop(other)
        self._end_use(slot)
        self._kept[slot] = None
        self._kept_index.put(slot, held, len(held.tokens))

    def _drop(self, slot: int) -> None:
        self._end_keeping(slot)
        self._empty(slot)

    def _move_out(self, slot: int) -> None:
        self._end_keeping(slot)
        if self._store and (segment := self._store.add(self._slots[slot])):
            self._operations.append(Save(slot, segment, self._spare))
        self._empty(slot)

    def _end_keeping(self, slot: int) -> None:
        del self._kept[slot]
        self._kept_index.remove(slot)

    def _end_use(self, slot: int) -> None:
        self._grown.discard(slot)
        self._used_index.remove(slot)

    def _empty(self, slot: int) -> None:
        self._end_use(slot)
        self._release(self._slots.pop(slot).cells)
        self._free_slots.append(slot)
        self._operations.append(Empty(slot))

    def _take_cells(self, slot: int, count: int) -> None:
        new = [self._free_cells.pop() for _ in range(count)]
        self._users[new] = 1
        self._slots[slot].cells += new
        self._grown.add(slot)

    def _release(self, cells: list[int]) -> None:
        released: NDArray[np.intp] = np.array(cells, dtype=np.intp)
        self._users[released] -= 1
        self._free_cells += released[self._users[released] == 0].tolist()
