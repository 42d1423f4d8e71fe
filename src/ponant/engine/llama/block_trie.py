"""Token lists that can be searched for the longest common prefix."""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

BLOCK = 64
"""Tokens per block. Reuse that must not change the rounding ends at multiples of it."""

Key = TypeVar("Key", bound=Hashable)

_Block = tuple[int, ...]


class _Node(Generic[Key]):
    """A prefix of whole blocks, or a leaf with a shorter last block.

    Attributes:
        block: last block of the prefix.
        parent: prefix without it; None for a root.
        children: longer prefixes by their next block.
        blocks: the next blocks in lexicographic order.
        keys: keys of all token lists that begin with the prefix, the oldest first.
    """

    __slots__ = ("block", "blocks", "children", "keys", "parent")

    def __init__(self, parent: "_Node[Key] | None", block: _Block) -> None:
        self.parent = parent
        self.block = block
        self.children: dict[_Block, _Node[Key]] = {}
        self.blocks: list[_Block] = []
        self.keys: dict[Key, None] = {}

    def child(self, block: _Block) -> "_Node[Key]":
        """Return the child with this block, a new one if need be."""
        if block not in self.children:
            self.children[block] = _Node(self, block)
            self.blocks.insert(bisect_left(self.blocks, block), block)
        return self.children[block]

    def closest(self, block: _Block) -> tuple["_Node[Key]", int]:
        """Return the child that begins most like a block, and the length of their common prefix.

        It is next to the block's place in lexicographic order. Without a common token this is the node itself and 0.
        """
        place = bisect_left(self.blocks, block)
        best, longest = self, 0
        for other in self.blocks[max(place - 1, 0) : place + 1]:
            length = common_prefix(block, other, len(block))
            if length > longest:
                best, longest = self.children[other], length
        return best, longest

    def discard(self, key: Key) -> None:
        """Drop a key, and with the last one the node."""
        del self.keys[key]
        if self.parent and not self.keys:
            del self.parent.children[self.block]
            del self.parent.blocks[bisect_left(self.parent.blocks, self.block)]


class BlockTrie(Generic[Key]):
    """A tree of token lists with one edge per block of ``BLOCK`` tokens; the last block of a list may be shorter.

    Hashes of blocks lead down the tree, and dictionaries compare the tokens of blocks with equal hashes. Where no whole
    block matches, the longest common prefix is that with a neighbour in the sorted list of next blocks. So a search
    takes one lookup per block of the prompt and a binary search among the blocks that follow, however many lists share
    the prefix. Lists of different adapters are separate.
    """

    def __init__(self) -> None:
        self._roots: dict[str | None, _Node[Key]] = {}
        self._paths: dict[Key, list[_Node[Key]]] = {}

    def put(self, key: Key, adapter: str | None, tokens: Sequence[int], length: int) -> None:
        """Hold the first ``length`` tokens under a key. What the key held before must be a prefix of them."""
        if key not in self._paths:
            root: _Node[Key] = self._roots.setdefault(adapter, _Node(None, ()))
            self._paths[key] = [root]
            root.keys[key] = None
        path = self._paths[key]
        if 0 < len(path[-1].block) < BLOCK:
            path.pop().discard(key)
        for start in range((len(path) - 1) * BLOCK, length, BLOCK):
            node = path[-1].child(tuple(tokens[start : min(start + BLOCK, length)]))
            node.keys[key] = None
            path.append(node)

    def remove(self, key: Key) -> None:
        """Drop what is held under a key, if there is anything."""
        for node in reversed(self._paths.pop(key, ())):
            node.discard(key)
            if not node.parent and not node.keys:
                self._roots = {adapter: root for adapter, root in self._roots.items() if root.keys}

    def find(self, adapter: str | None, tokens: Sequence[int], limit: int) -> tuple[Key | None, int]:
        """Return the key whose tokens share the longest prefix with the first ``limit`` ones, and its length."""
        node, length = self._descend(adapter, tokens, limit)
        if node is None:
            return None, 0
        if length < limit:
            node, shared = node.closest(tuple(tokens[length : min(length + BLOCK, limit)]))
            length += shared
        return (next(iter(node.keys)), length) if length else (None, 0)

    def candidates(self, adapter: str | None, tokens: Sequence[int], limit: int) -> tuple[Iterable[Key], int]:
        """Return the keys that share as many whole blocks with the first ``limit`` tokens as any, and their length."""
        node, length = self._descend(adapter, tokens, limit // BLOCK * BLOCK)
        return (node.keys, length) if node else ((), 0)

    def _descend(self, adapter: str | None, tokens: Sequence[int], limit: int) -> tuple[_Node[Key] | None, int]:
        """Return the deepest node on the path of some tokens, and the number of tokens up to there."""
        node, length = self._roots.get(adapter), 0
        while node and length < limit:
            block = tuple(tokens[length : min(length + BLOCK, limit)])
            child = node.children.get(block)
            if child is None:
                break
            node, length = child, length + len(block)
        return node, length


def common_prefix(first: Sequence[int], second: Sequence[int], limit: int) -> int:
    """Return the number of tokens that both begin with, ``limit`` at most."""
    high = min(len(first), len(second), limit)
    start = 0
    while start < high and first[start : start + BLOCK] == second[start : start + BLOCK]:
        start += BLOCK
    while start < high and first[start] == second[start]:
        start += 1
    return min(start, high)
