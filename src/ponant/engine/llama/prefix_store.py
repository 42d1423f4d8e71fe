"""Keys and values of finished sequences outside of the KV cache.

Each used cell of the KV cache costs every row of every step some time, also rows of other sequences. So finished
sequences move to ordinary memory, which takes about a hundredth of the time of their computation; restoring them takes
less. A common prefix is stored once: a segment holds the tokens that a sequence adds to its parent segment.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ponant.engine.llama.block_trie import BLOCK
from ponant.engine.llama.prefix_index import SHORTEST_SHARED, Computed, PrefixIndex, Reuse


@dataclass(eq=False, slots=True)
class Segment(Computed):
    """Keys and values of ``tokens`` from ``start`` on; the parent has those before.

    Attributes:
        start: first token of the segment.
        parent: segment with the tokens before; None for the first one.
        children: number of segments that continue this one, which keep it in the store.
        data: llama.cpp's copy of the keys and values; None before it is made.
    """

    start: int = 0
    parent: "Segment | None" = None
    children: int = 0
    data: Any = None

    @property
    def size(self) -> int:
        """Number of tokens whose keys and values it holds."""
        return len(self.tokens) - self.start


class PrefixStore:
    """Segments of at most ``capacity`` tokens in all. The least recently used are dropped first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._segments: OrderedDict[Segment, None] = OrderedDict()
        self._index = PrefixIndex[Segment]()

    @property
    def size(self) -> int:
        """Number of tokens in the store."""
        return self._size

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def best(self, target: Computed, reuse: Reuse) -> tuple[Segment | None, int]:
        """Return the segment with the longest prefix that a sequence can reuse, and its length in tokens."""
        return self._index.best(target, reuse)

    def add(self, computed: Computed) -> Segment | None:
        """Add a segment for the tokens that are not in the store, cut to the capacity.

        Returns:
            The segment, whose ``data`` the caller must fill in; None if too few tokens are new.
        """
        parent, start = self._best_parent(computed)
        while parent and start <= parent.start:
            parent = parent.parent
        if parent:
            self.touch(parent)
        room = self._capacity - sum(segment.size for segment in path_of(parent))
        end = min(len(computed.tokens), start + room)
        if end - start < SHORTEST_SHARED:
            return None
        segment = Segment(
            computed.tokens[:end],
            min(computed.prompt_length, end),
            computed.adapter,
            min(computed.repeatable, end // BLOCK * BLOCK),
            start,
            parent,
        )
        if parent:
            parent.children += 1
        while self._size + segment.size > self._capacity:
            self._drop(next(other for other in self._segments if not other.children))
        self._segments[segment] = None
        self._index.put(segment, segment, end)
        self._size += segment.size
        return segment

    def touch(self, segment: Segment) -> None:
        """Mark a segment and its ancestors as used."""
        for part in reversed(path_of(segment)):
            self._segments.move_to_end(part)

    def forget_adapter(self, adapter: str) -> None:
        """Drop the segments of an adapter."""
        for segment in [segment for segment in self._segments if segment.adapter == adapter]:
            self._remove(segment)

    def clear(self) -> None:
        """Drop all segments."""
        self._segments.clear()
        self._index = PrefixIndex()
        self._size = 0

    def _best_parent(self, computed: Computed) -> tuple[Segment | None, int]:
        """Return the segment with the longest common prefix, and its length; repeatable tokens need repeatable ones."""
        if computed.repeatable:
            best, length = self._index.longest_repeatable(computed)
        else:
            best, length = self._index.longest(computed, len(computed.tokens))
        return (best, length) if length >= SHORTEST_SHARED else (None, 0)

    def _drop(self, segment: Segment) -> None:
        self._remove(segment)
        if segment.parent:
            segment.parent.children -= 1

    def _remove(self, segment: Segment) -> None:
        del self._segments[segment]
        self._index.remove(segment)
        self._size -= segment.size


def path_of(segment: Segment | None) -> list[Segment]:
    """Return a segment after its ancestors, the first one first."""
    path: list[Segment] = []
    while segment:
        path.append(segment)
        segment = segment.parent
    return path[::-1]
