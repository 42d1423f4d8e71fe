"""Token lists that can be searched for the longest common prefix."""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

BLOCK = 64
"""Tokens per block. Reuse that must not change the rounding ends at multiples of it."""

Key = TypeVar("Key", bound=Hashable)

_Block = tuple[int, ...]


class _Node(Generic[Key]):
    """Prefix of whole blocks, or leaf with a shorter last block.

    Attributes:
        block: last block of the prefix.
        parent: prefix without it; None for a root.
        children: longer prefixes by their next block.
        blocks: the next blocks in lexicographic order.
        keys: keys of the token lists that begin with the prefix, the oldest first.
    """

    __slots__ = ("block", "blocks", "children", "keys", "parent")

    def __init__(self, parent: "_Node[Key] | None", block: _Block) -> None:
        self.parent = parent
        self.block = block
        self.children: dict[_Block, _Node[Key]] = {}
        self.blocks: list[_Block] = []
        self.keys: dict[Key, None] = {}

    def child(self, block: _Block) -> "_Node[Key]":
        """Return the child with this block; it is created if there is none."""
        if block not in self.children:
            self.children[block] = _Node(self, block)
            self.blocks.insert(bisect_left(self.blocks, block), block)
        return self.children[block]

    def closest(self, block: _Block) -> tuple["_Node[Key]", int]:
        """Return the child whose block has the longest prefix in common with a block, and the prefix's length.

        It is next to the block's place in lexicographic order. Without a common token, return the node itself and 0.
        """
        place = bisect_left(self.blocks, block)
        best, longest = self, 0
        for other in self.blocks[max(place - 1, 0) : place + 1]:
            length = common_prefix(block, other, len(block))
            if length > longest:
                best, longest = self.children[other], length
        return best, longest

    def discard(self, key: Key) -> None:
        """Drop a key, and the node with its last key."""
        del self.keys[key]
        if self.parent and not self.keys:
            del self.parent.children[self.block]
            del self.parent.blocks[bisect_left(self.parent.blocks, self.block)]


class BlockTrie(Generic[Key]):
    """Tree of token lists with one edge per block of ``BLOCK`` tokens; the last block of a list may be shorter.

    A search descends by the hash of each block; dictionaries compare the tokens of blocks with equal hashes. At the
    first block that differs, the longest common prefix is that with a neighbour in the sorted list of next blocks. So a
    search takes one lookup per block of the prompt and one binary search, independent of the number of lists. Each
    adapter has a tree of its own.
    """

    def __init__(self) -> None:
        self._roots: dict[str | None, _Node[Key]] = {}
        self._paths: dict[Key, list[_Node[Key]]] = {}

    def put(self, key: Key, adapter: str | None, tokens: Sequence[int], length: int) -> None:
        """Store the first ``length`` tokens under a key. Its previous tokens must be a prefix of them."""
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
        """Drop the tokens of a key. An unknown key is ignored."""
        for node in reversed(self._paths.pop(key, ())):
            node.discard(key)
            if not node.parent and not node.keys:
                self._roots = {adapter: root for adapter, root in self._roots.items() if root.keys}

    def find(self, adapter: str | None, tokens: Sequence[int], limit: int) -> tuple[Key | None, int]:
        """Return the key with the longest prefix in common with the first ``limit`` tokens, and its length."""
        node, length = self._descend(adapter, tokens, limit)
        if node is None:
            return None, 0
        if length < limit:
            node, shared = node.closest(tuple(tokens[length : min(length + BLOCK, limit)]))
            length += shared
        return (next(iter(node.keys)), length) if length else (None, 0)

    def candidates(self, adapter: str | None, tokens: Sequence[int], limit: int) -> tuple[Iterable[Key], int]:
        """Return the keys with the most whole blocks in common with the first ``limit`` tokens, and their length."""
        node, length = self._descend(adapter, tokens, limit // BLOCK * BLOCK)
        return (node.keys, length) if node else ((), 0)

    def _descend(self, adapter: str | None, tokens: Sequence[int], limit: int) -> tuple[_Node[Key] | None, int]:
        """Return the deepest node on the path of the first ``limit`` tokens, and its depth in tokens."""
        node, length = self._roots.get(adapter), 0
        while node and length < limit:
            block = tuple(tokens[length : min(length + BLOCK, limit)])
            child = node.children.get(block)
            if child is None:
                break
            node, length = child, length + len(block)
        return node, length


def common_prefix(first: Sequence[int], second: Sequence[int], limit: int) -> int:
    """Return the length of the longest common prefix, at most ``limit``."""
    high = min(len(first), len(second), limit)
    start = 0
    while start < high and first[start : start + BLOCK] == second[start : start + BLOCK]:
        start += BLOCK
    while start < high and first[start] == second[start]:
        start += 1
    return min(start, high)
