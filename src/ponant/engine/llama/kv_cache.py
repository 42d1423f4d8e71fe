"""Bookkeeping of the KV cache.

A slot is a sequence in llama.cpp's terms; a cell holds the keys and values of one token. Slots that begin with the same
tokens share their cells. Keys and values depend on the adapter, so only slots with the same adapter do. Finished
sequences stay in their slots until others are computed or their cells are needed. Then they move to the prefix store,
from where they can be restored.
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
    """Empty a slot."""

    slot: int


@dataclass(frozen=True, slots=True)
class Share:
    """Share the first ``length`` cells of a slot with an empty one."""

    source: int
    target: int
    length: int


@dataclass(frozen=True, slots=True)
class Trim:
    """Cut a slot to its first ``length`` tokens."""

    slot: int
    length: int


@dataclass(frozen=True, slots=True)
class Save:
    """Copy the keys and values of a segment's tokens out of a slot, through the empty slot ``spare``."""

    slot: int
    segment: Segment
    spare: int


@dataclass(frozen=True, slots=True)
class Restore:
    """Append tokens ``start`` to ``end`` of a segment to a slot, through the empty slot ``spare``."""

    slot: int
    segment: Segment
    spare: int
    start: int
    end: int


Operation = Empty | Share | Trim | Save | Restore


@dataclass(eq=False, slots=True)
class _Slot(Computed):
    """Content of a slot.

    Attributes:
        cells: cells of the tokens that are computed; ``tokens`` may be longer.
        reuse: tokens that the slot may take from others.
    """

    cells: list[int] = field(default_factory=list[int])
    reuse: Reuse = "anything"


class KVCache:
    """Bookkeeping of cells and slots. ``take_operations`` returns the operations that keep llama.cpp in step."""

    def __init__(self, *, cells: int, slots: int, store: PrefixStore | None) -> None:
        """Divide a cache.

        Args:
            cells: number of cells.
            slots: number of slots. With a store llama.cpp must have one more.
            store: store of finished sequences; None to share no cells and keep no sequences.
        """
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
        """True if sequences share cells."""
        return self._store is not None

    @property
    def free(self) -> int:
        """Number of unused cells."""
        return len(self._free_cells)

    @property
    def used(self) -> int:
        """Number of cells of running and finished sequences."""
        return len(self._users) - self.free

    @property
    def kept(self) -> int:
        """Number of cells of finished sequences alone."""
        users = np.zeros_like(self._users)
        for slot in self._kept:
            users[self._slots[slot].cells] += 1
        return int(np.count_nonzero((users > 0) & (users == self._users)))

    @property
    def stored(self) -> int:
        """Number of tokens in the prefix store."""
        return self._store.size if self._store else 0

    def length(self, slot: int) -> int:
        """Return the number of computed tokens in a slot."""
        return len(self._slots[slot].cells)

    def take_operations(self) -> list[Operation]:
        """Return the operations that llama.cpp must do before the next batch, in this order."""
        operations, self._operations = self._operations, []
        return operations

    def enter(
        self, tokens: list[int], prompt_length: int, adapter: str | None = None, reuse: Reuse = "anything"
    ) -> int:
        """Return an empty slot for a sequence, whose list of tokens may grow later."""
        slot = self._free_slot()
        self._slots[slot] = _Slot(tokens, prompt_length, adapter, reuse=reuse)
        return slot

    def catch_up(self, slot: int) -> None:
        """Share the longest common prefix of all other slots with a slot, without its last token."""
        source, length = self._best_source(slot)
        if length >= max(self.length(slot) + 1, SHORTEST_SHARED):
            self.share(source, slot, length)

    def share(self, source: int, target: int, length: int) -> None:
        """Replace the content of a slot by the first ``length`` cells of another one."""
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
        """Extend a slot by the longest common prefix in the store, without the slot's last token.

        It does so only if that prefix is at least ``SHORTEST_SHARED`` tokens longer than the slot and than
        ``more_than`` tokens.
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
            if segment.size > self.free:  # llama.cpp restores a segment as a whole
                break
            self._operations.append(Restore(slot, segment, self._spare, start, end))
            self._take_cells(slot, end - start)
            if held.repeatable == start:
                held.repeatable = max(start, min(segment.repeatable, end // BLOCK * BLOCK))

    def extend(self, slot: int, count: int, *, repeatable: bool = False) -> None:
        """Record that ``count`` more tokens of a slot are computed.

        Args:
            slot: the slot.
            count: number of tokens, at most ``free``.
            repeatable: all tokens so far were computed in the reproducible way; see ``Computed``.
        """
        held = self._slots[slot]
        self._take_cells(slot, count)
        if repeatable:
            held.repeatable = min(len(held.cells), held.prompt_length) // BLOCK * BLOCK

    def forget_drafts(self, slot: int) -> None:
        """Drop the rejected drafts of a slot."""
        self._operations.append(Trim(slot, self.length(slot)))

    def leave(self, slot: int, *, keep: bool) -> None:
        """Free a slot; ``keep`` its content for reuse if that is worthwhile."""
        if keep and self._is_worth_keeping(slot):
            self._keep(slot)
        else:
            self._empty(slot)

    def evict(self) -> bool:
        """Move the least recently used finished sequence to the store; returns False if there is none."""
        if not self._kept:
            return False
        self._move_out(next(iter(self._kept)))
        return True

    def move_out(self) -> None:
        """Move finished sequences to the store, except those whose cells are all used by others."""
        for slot in list(self._kept):
            if (self._users[self._slots[slot].cells] == 1).any():
                self._move_out(slot)

    def clear(self) -> None:
        """Drop all finished sequences."""
        for slot in list(self._kept):
            self._drop(slot)
        if self._store:
            self._store.clear()

    def forget_adapter(self, adapter: str) -> None:
        """Drop the finished sequences of an adapter."""
        for slot in [slot for slot in self._kept if self._slots[slot].adapter == adapter]:
            self._drop(slot)
        if self._store:
            self._store.forget_adapter(adapter)

    def _free_slot(self) -> int:
        if not self._free_slots:
            self.evict()
        return self._free_slots.pop()

    def _best_source(self, target: int) -> tuple[int, int]:
        """Return the slot with the longest prefix that another one can reuse, and its length in tokens."""
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
        """True if a slot holds enough tokens, and no kept sequence begins with them."""
        length = self.length(slot)
        if not self.shares or length < SHORTEST_SHARED:
            return False
        return self._kept_index.longest(self._slots[slot], length)[1] < length

    def _keep(self, slot: int) -> None:
        """Keep the content of a slot, in place of the kept sequence that it begins with.

        No kept sequence begins with another one. So there is at most one to replace, and it has the longest prefix in
        common with the slot.
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
