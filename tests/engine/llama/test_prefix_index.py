"""Reuse of prefixes, compared with a search among all token lists."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.llama.block_trie import BLOCK
from ponant.engine.llama.prefix_index import Computed, PrefixIndex, Reuse
from tests.engine.llama.test_block_trie import family, naive


def usable(target: Computed, reuse: Reuse, held: Computed, length: int) -> int:
    """Return the number of tokens that a target can reuse of held ones, by comparison."""
    if held.adapter != target.adapter:
        return 0
    tokens, limit = target.tokens[:-1], held.repeatable if reuse == "what repeats" else length
    shared = naive(tokens, held.tokens[:limit])
    if reuse == "what repeats":
        return shared // BLOCK * BLOCK
    prompt, same = target.tokens[: target.prompt_length], held.tokens[: held.prompt_length]
    if reuse == "all but the last block" and prompt == same and shared == len(prompt) - 1:
        return shared // BLOCK * BLOCK
    return shared


@pytest.mark.parametrize("reuse", ["anything", "what repeats", "all but the last block"])
@given(seed=st.integers(0, 10**9))
def test_reuse_is_that_of_a_comparison_with_all(reuse: Reuse, seed: int) -> None:
    chance = random.Random(seed)
    prompts = [prompt for prompt in family(chance) if prompt]
    index = PrefixIndex[int]()
    held: dict[int, tuple[Computed, int]] = {}
    for key, prompt in enumerate(prompts):
        tokens = [*prompt, *chance.choice([[], [1], [2, 2, 2]])]
        length = chance.choice([len(tokens), chance.randint(0, len(tokens))])
        whole = min(length, len(prompt)) // BLOCK
        computed = Computed(tokens, len(prompt), chance.choice([None, "a"]), chance.randint(0, whole) * BLOCK)
        held[key] = computed, length
        index.put(key, computed, length)
        if chance.random() < 0.2:
            index.remove(removed := chance.choice(list(held)))
            del held[removed]
        target_prompt = chance.choice(prompts)
        target = Computed(
            [*target_prompt, *chance.choice([[], [], [2]])], len(target_prompt), chance.choice([None, "a"])
        )
        found, tokens_reused = index.best(target, reuse)
        assert tokens_reused == max((usable(target, reuse, *one) for one in held.values()), default=0)
        if found is not None:
            assert usable(target, reuse, *held[found]) == tokens_reused
