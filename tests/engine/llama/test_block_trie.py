"""Longest common prefixes: exact to the token, at a cost independent of the number of token lists."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.llama.block_trie import BLOCK, BlockTrie, common_prefix
from tests.soak import SOAK


def naive(first: list[int], second: list[int]) -> int:
    pairs = zip(first, second, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def family(chance: random.Random) -> list[list[int]]:
    """Return prompts with common prefixes that end near borders of blocks or anywhere."""
    prompts = [[chance.randint(1, 2) for _ in range(chance.choice([0, 1, 63, 64, 65, 200, 300]))] for _ in range(2)]
    for _ in range(chance.randint(0, 20)):
        stem = chance.choice(prompts)
        cut = chance.choice([0, 1, 7, 63, 64, 65, 127, 128, 129, chance.randint(0, 300)])
        prompts.append([*stem[:cut], *(chance.randint(1, 2) for _ in range(chance.choice([0, 1, 5, 70])))])
    return prompts


@given(st.integers(0, 10**9))
def test_longest_prefix_is_that_of_a_comparison_with_all(seed: int) -> None:
    chance = random.Random(seed)
    trie = BlockTrie[int]()
    held: dict[int, tuple[str | None, list[int], int]] = {}
    for prompt in family(chance):
        action = chance.random()
        if action < 0.7:
            adapter, length = chance.choice([None, "a"]), chance.randint(0, len(prompt))
            held[len(held)] = adapter, prompt, length
            trie.put(len(held) - 1, adapter, prompt, length)
        elif held and action < 0.9:  # as a sequence grows
            key = chance.choice(list(held))
            adapter, tokens, length = held[key]
            held[key] = adapter, tokens, chance.randint(length, len(tokens))
            trie.put(key, *held[key])
        elif held:
            key = chance.choice(list(held))
            held[key] = "removed", [], 0
            trie.remove(key)
        for wanted in family(chance):
            limit, adapter = chance.randint(0, len(wanted)), chance.choice([None, "a", "b"])
            longest = max(
                (naive(wanted[:limit], tokens[:length]) for of, tokens, length in held.values() if of == adapter),
                default=0,
            )
            best, found = trie.find(adapter, wanted, limit)
            assert found == longest
            assert (best is None) == (longest == 0)
            if best is not None:
                assert held[best][0] == adapter
                assert naive(wanted[:limit], held[best][1][: held[best][2]]) == longest


@given(st.integers(0, 10**9), st.integers(0, 300))
def test_common_prefix_is_exact(seed: int, limit: int) -> None:
    prompts = family(random.Random(seed))
    assert [common_prefix(prompts[0], other, limit) for other in prompts] == [
        naive(prompts[0][:limit], other) for other in prompts
    ]


class Counted(int):
    """Token that counts the hashes and comparisons of all tokens."""

    operations = 0

    def __hash__(self) -> int:
        Counted.operations += 1
        return int.__hash__(self)

    def __eq__(self, other: object) -> bool:
        Counted.operations += 1
        return int.__eq__(self, other)

    def __lt__(self, other: int) -> bool:
        Counted.operations += 1
        return int.__lt__(self, other)


def counted(tokens: list[int]) -> list[int]:
    return [Counted(token) for token in tokens]


@pytest.mark.parametrize("holders", [1, 30, 1000 if SOAK else 200])
@pytest.mark.parametrize("shared", [0, 40, 1000, 1000 // BLOCK * BLOCK])
def test_search_costs_the_same_however_many_share_the_prefix(holders: int, shared: int) -> None:
    prompt = [1 + index * 7 % 250 for index in range(1200)]
    before, after = counted(prompt[:shared]), counted(prompt[shared:])
    trie = BlockTrie[int]()
    for key in range(holders):
        tokens = [*before, Counted(1000 + key), *after]
        trie.put(key, None, tokens, len(tokens))
    wanted = counted([*prompt[:shared], 900, *prompt[shared:]])
    Counted.operations = 0
    assert trie.find(None, wanted, len(wanted))[1] == shared
    assert Counted.operations <= 2 * (shared + BLOCK) + BLOCK * (math.log2(holders) + 6)
