"""What finished sequences have computed, kept outside of the KV cache for those that begin alike.

Each cell of the KV cache that is in use costs every row of every step a little time, whoever it belongs to. So what
nobody works with any more is moved to ordinary memory, which takes about a hundredth of the time of computing it, and
back when it is wanted, which takes less still. What several sequences begin with is kept once: a segment holds what
one sequence has beyond what another one, its parent, has of the same tokens.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ponant.engine.llama.block_trie import BLOCK
from ponant.engine.llama.prefix_index import SHORTEST_SHARED, Computed, PrefixIndex, Reuse


@dataclass(eq=False, slots=True)
class Segment(Computed):
    """The keys and values of ``tokens`` from ``start`` on; those before are the ``parent``'s.

    ``data`` is what llama.cpp gave, None until it was asked. As long as there are ``children`` it is needed.
    """

    start: int = 0
    parent: "Segment | None" = None
    children: int = 0
    data: Any = None

    @property
    def size(self) -> int:
        """How many tokens it holds the keys and values of."""
        return len(self.tokens) - self.start


class PrefixStore:
    """Segments with up to ``capacity`` tokens in all; the ones not used for longest make room for others."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._segments: OrderedDict[Segment, None] = OrderedDict()
        self._index = PrefixIndex[Segment]()

    @property
    def size(self) -> int:
        """Tokens that are kept."""
        return self._size

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def best(self, target: Computed, reuse: Reuse) -> tuple[Segment | None, int]:
        """Return the segment of which a sequence can reuse most, and the number of tokens; see ``PrefixIndex.best``."""
        return self._index.best(target, reuse)

    def add(self, computed: Computed) -> Segment | None:
        """Make room for what of these tokens is not there yet, or for as much of it as there can be room for.

        Returns the segment, whose data the caller has to see to; None if there is nothing to add.
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
        """Note that a segment, and so all those before it, was used."""
        for part in reversed(path_of(segment)):
            self._segments.move_to_end(part)

    def forget_adapter(self, adapter: str) -> None:
        """Drop everything that was computed with an adapter."""
        for segment in [segment for segment in self._segments if segment.adapter == adapter]:
            self._remove(segment)

    def clear(self) -> None:
        """Drop everything."""
        self._segments.clear()
        self._index = PrefixIndex()
        self._size = 0

    def _best_parent(self, computed: Computed) -> tuple[Segment | None, int]:
        """The segment that has most of the same tokens; where rounding must not change, only of those that repeat."""
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
    """A segment and those that it goes on from, the first one first."""
    path: list[Segment] = []
    while segment:
        path.append(segment)
        segment = segment.parent
    return path[::-1]
