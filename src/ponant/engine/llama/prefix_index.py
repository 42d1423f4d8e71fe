"""Search for computed tokens that a sequence can reuse."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from ponant.engine.llama.block_trie import BLOCK, BlockTrie, common_prefix

SHORTEST_SHARED = 8
"""Fewest tokens that are reused."""

Reuse = Literal["anything", "what repeats", "all but the last block", "nothing"]
"""Tokens that a sequence may reuse: any; repeatable ones (see ``Computed``) in whole blocks; any, but of exactly its
own prompt only the whole blocks, so that the last block is computed in the same way as before; or none."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(eq=False, slots=True)
class Computed:
    """Tokens with their keys and values.

    Attributes:
        tokens: token ids; those at the end may not be computed yet.
        prompt_length: number of them that were the prompt.
        adapter: id of the adapter that they were computed with.
        repeatable: number of the prompt's first tokens that were computed in the reproducible way: alone, from an empty
            cache, block by block.
    """

    tokens: list[int]
    prompt_length: int
    adapter: str | None = None
    repeatable: int = 0


class PrefixIndex(Generic[Key]):
    """Finds the held tokens that share the longest prefix with a prompt."""

    def __init__(self) -> None:
        self._held: dict[Key, tuple[Computed, int]] = {}
        self._all = BlockTrie[Key]()
        self._repeatable = BlockTrie[Key]()

    def put(self, key: Key, held: Computed, length: int) -> None:
        """Store the first ``length`` tokens under a key. Its previous tokens must be a prefix of them."""
        self._held[key] = held, length
        self._all.put(key, held.adapter, held.tokens, length)
        if held.repeatable:
            self._repeatable.put(key, held.adapter, held.tokens, held.repeatable)

    def remove(self, key: Key) -> None:
        """Drop the tokens of a key. An unknown key is ignored."""
        self._held.pop(key, None)
        self._all.remove(key)
        self._repeatable.remove(key)

    def longest(self, wanted: Computed, length: int) -> tuple[Key | None, int]:
        """Return the key with the longest prefix in common with the first ``length`` tokens, and its length."""
        return self._all.find(wanted.adapter, wanted.tokens, length)

    def longest_repeatable(self, wanted: Computed) -> tuple[Key | None, int]:
        """Return the same for the repeatable tokens, among repeatable ones alone."""
        return self._repeatable.find(wanted.adapter, wanted.tokens, wanted.repeatable)

    def best(self, target: Computed, reuse: Reuse) -> tuple[Key | None, int]:
        """Return the key with the longest prefix that a sequence can reuse, and its length without the last token."""
        if reuse == "nothing":
            return None, 0
        limit = len(target.tokens) - 1
        if reuse == "what repeats":
            key, length = self._repeatable.find(target.adapter, target.tokens, limit)
            whole = length // BLOCK * BLOCK
            return (key, whole) if whole else (None, 0)
        key, length = self._all.find(target.adapter, target.tokens, limit)
        if reuse == "all but the last block" and length == target.prompt_length - 1:
            return self._best_for_exact_prompt(target, length)
        return key, length

    def _best_for_exact_prompt(self, target: Computed, limit: int) -> tuple[Key | None, int]:
        """Compare all candidates, as those with exactly the same prompt give only whole blocks."""
        keys, start = self._all.candidates(target.adapter, target.tokens, limit)
        best: Key | None = None
        longest = 0
        for key in keys:
            held, computed = self._held[key]
            end = min(computed, limit)
            length = start + common_prefix(target.tokens[start:limit], held.tokens[start:end], BLOCK)
            if length == limit and _have_same_prompt(target, held):
                length = start
            if length > longest:
                best, longest = key, length
        return best, longest


def _have_same_prompt(first: Computed, second: Computed) -> bool:
    """True if two prompts are the same, given that all tokens but the last are."""
    length = first.prompt_length
    return length == second.prompt_length and first.tokens[length - 1 : length] == second.tokens[length - 1 : length]
