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

PIECE = 64
"""Where pieces of a prompt end that can be taken over by a sequence that must come out the same: at multiples of it."""

SHORTEST_SHARED = 8
"""Tokens that two sequences must have in common for one to take over what the other has computed."""


@dataclass(eq=False, slots=True)
class Computed:
    """Tokens of which the keys and values are somewhere.

    The first ``prompt_length`` of ``tokens`` were a prompt, of which the first ``repeatable`` came about as they always
    do: alone, from an empty cache, in pieces. ``adapter`` is what they are computed with.
    """

    tokens: list[int]
    prompt_length: int
    adapter: str | None = None
    repeatable: int = 0


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


class PrefixStore:
    """Segments with up to ``capacity`` tokens in all; the ones not used for longest make room for others."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._segments: OrderedDict[Segment, None] = OrderedDict()

    @property
    def size(self) -> int:
        """Tokens that are kept."""
        return self._size

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

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
            min(computed.repeatable, end // PIECE * PIECE),
            start,
            parent,
        )
        if parent:
            parent.children += 1
        while self._size + segment.size > self._capacity:
            self._drop(next(other for other in self._segments if not other.children))
        self._segments[segment] = None
        self._size += segment.size
        return segment

    def touch(self, segment: Segment) -> None:
        """Note that a segment, and so all those before it, was used."""
        for part in reversed(path_of(segment)):
            self._segments.move_to_end(part)

    def forget_adapter(self, adapter: str) -> None:
        """Drop everything that was computed with an adapter."""
        for segment in [segment for segment in self._segments if segment.adapter == adapter]:
            del self._segments[segment]
            self._size -= segment.size

    def clear(self) -> None:
        """Drop everything."""
        self._segments.clear()
        self._size = 0

    def _best_parent(self, computed: Computed) -> tuple[Segment | None, int]:
        """The segment that has most of the same tokens; where rounding must not change, only of those that repeat."""
        best: Segment | None = None
        best_length = SHORTEST_SHARED - 1
        for segment in self._segments:
            if segment.adapter != computed.adapter:
                continue
            limit = min(segment.repeatable, computed.repeatable) if computed.repeatable else len(segment.tokens)
            length = common_prefix(computed.tokens, segment.tokens, limit)
            if length > best_length:
                best, best_length = segment, length
        return best, best_length if best else 0

    def _drop(self, segment: Segment) -> None:
        del self._segments[segment]
        self._size -= segment.size
        if segment.parent:
            segment.parent.children -= 1


def path_of(segment: Segment | None) -> list[Segment]:
    """A segment and those that it goes on from, the first one first."""
    path: list[Segment] = []
    while segment:
        path.append(segment)
        segment = segment.parent
    return path[::-1]
