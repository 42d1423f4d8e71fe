"""Bookkeeping of the KV cache: which tokens are reused by which sequences."""

import math

import pytest

from ponant.engine.llama.block_trie import BLOCK
from ponant.engine.llama.kv_cache import Empty, KVCache, Operation, Restore, Save, Share, Trim
from ponant.engine.llama.prefix_index import Reuse
from ponant.engine.llama.prefix_store import PrefixStore
from tests.engine.llama.test_block_trie import Counted, counted

PROMPT = list(range(1000, 1200))
"""Three whole blocks and a partial one."""


def cache(*, cells: int = 1000, slots: int = 6, stored: int = 2000) -> KVCache:
    return KVCache(cells=cells, slots=slots, store=PrefixStore(stored))


def computed(
    made: KVCache,
    prompt: list[int],
    answer: list[int] | None = None,
    *,
    repeatable: bool = False,
    adapter: str | None = None,
) -> int:
    """Compute a prompt and an answer in a new slot after its reusable prefix; returns the slot."""
    tokens = [*prompt, *(answer or [])]
    slot = made.enter(tokens, len(prompt), adapter)
    made.catch_up(slot)
    while (length := made.length(slot)) < len(tokens):
        made.extend(slot, min(BLOCK - length % BLOCK, len(tokens) - length), repeatable=repeatable)
    return slot


def kept(
    made: KVCache,
    prompt: list[int],
    answer: list[int] | None = None,
    *,
    repeatable: bool = False,
    adapter: str | None = None,
    stored: bool = False,
) -> int:
    slot = computed(made, prompt, answer, repeatable=repeatable, adapter=adapter)
    made.leave(slot, keep=True)
    if stored:
        made.move_out()
    made.take_operations()
    return slot


def reused(made: KVCache, prompt: list[int], adapter: str | None = None, reuse: Reuse = "anything") -> int:
    """Return the number of a prompt's tokens that would be reused now, from the cache or the store."""
    slot = made.enter(prompt, len(prompt), adapter, reuse)
    made.catch_up(slot)
    made.restore(slot, 0)
    length = made.length(slot)
    made.leave(slot, keep=False)
    return length


@pytest.fixture(params=[False, True], ids=["in the cache", "in the store"])
def stored(request: pytest.FixtureRequest) -> bool:
    """True if kept sequences were moved to the store."""
    return bool(request.param)


@pytest.mark.parametrize(
    ("length", "left"), [(5, 0), (63, 0), (64, 0), (65, 64), (128, 64), (129, 128), (192, 128), (193, 192), (200, 192)]
)
def test_repeatable_prompt_finds_the_whole_pieces_of_itself_but_for_its_last_token(
    length: int, left: int, *, stored: bool
) -> None:
    made = cache()
    kept(made, PROMPT[:length], [1] * 8, repeatable=True, stored=stored)
    assert reused(made, PROMPT[:length], reuse="what repeats") == left
    assert reused(made, PROMPT[:length]) == (length - 1 if length > 8 else 0)


def test_repeatable_prompt_finds_nothing_of_what_came_about_otherwise(*, stored: bool) -> None:
    made = cache()
    kept(made, PROMPT, stored=stored)
    assert reused(made, PROMPT, reuse="what repeats") == 0
    assert reused(made, PROMPT) == 199


def test_answer_is_not_repeatable_though_it_was_computed_alone(*, stored: bool) -> None:
    made = cache()
    kept(made, PROMPT[:100], PROMPT[100:], repeatable=True, stored=stored)
    assert reused(made, PROMPT, reuse="what repeats") == 64


def test_what_begins_otherwise_is_left_out_at_the_border_of_a_piece(*, stored: bool) -> None:
    made = cache()
    kept(made, PROMPT, repeatable=True, stored=stored)
    assert reused(made, [*PROMPT[:150], 7, 8, 9], reuse="what repeats") == 128
    assert reused(made, [*PROMPT[:150], 7, 8, 9]) == 150


def test_what_was_taken_over_from_a_repeatable_sequence_is_repeatable_in_whole_pieces(*, stored: bool) -> None:
    made = cache()
    kept(made, PROMPT[:150], repeatable=True)
    other = [*PROMPT[:140], 7]
    kept(made, other, [1] * 100, stored=stored)  # reuses 140 tokens; the rest is not repeatable
    assert reused(made, [*other, 1, 1, 1], reuse="what repeats") == 128


def test_what_was_not_taken_over_from_a_repeatable_sequence_is_not_repeatable(*, stored: bool) -> None:
    made = cache()
    kept(made, PROMPT[:150], repeatable=True)
    other = [*PROMPT[:100], *range(100)]
    kept(made, other, stored=stored)
    assert reused(made, other, reuse="what repeats") == 64


def test_pieces_that_came_after_others_are_not_repeatable(*, stored: bool) -> None:
    made = cache()
    kept(made, PROMPT[:100])
    kept(made, PROMPT, repeatable=False, stored=stored)
    assert reused(made, PROMPT, reuse="what repeats") == 0


def test_what_comes_back_from_the_store_is_as_repeatable_as_it_was() -> None:
    made = cache()
    kept(made, PROMPT[:150], repeatable=True, stored=True)
    slot = made.enter([*PROMPT, 7], 201, reuse="what repeats")
    made.restore(slot, 0)
    assert made.length(slot) == 128
    made.extend(slot, 64, repeatable=True)
    made.extend(slot, 9)
    made.leave(slot, keep=True)
    assert reused(made, [*PROMPT, 8], reuse="what repeats") == 192
    made.move_out()
    assert reused(made, [*PROMPT, 8], reuse="what repeats") == 192


@pytest.mark.parametrize(("length", "left"), [(12, 0), (64, 0), (65, 64), (129, 128), (192, 128), (200, 192)])
def test_exact_prompt_is_taken_over_but_for_its_last_piece(length: int, left: int, *, stored: bool) -> None:
    made = cache()
    prompt = PROMPT[:length]
    kept(made, prompt, [1, 2, 3, 4, 5, 6], stored=stored)
    assert reused(made, prompt, reuse="all but the last block") == left


@pytest.mark.parametrize(
    ("other", "length"), [(PROMPT[:150], 149), ([*PROMPT, 1], 200), ([*PROMPT[:199], 1], 199), ([7, *PROMPT[1:]], 0)]
)
def test_other_prompts_are_taken_over_whole(other: list[int], length: int, *, stored: bool) -> None:
    made = cache()
    kept(made, PROMPT, [1, 2, 3], stored=stored)
    assert reused(made, other, reuse="all but the last block") == length


def test_running_sequences_are_left_alone() -> None:
    made = cache()
    slot = computed(made, PROMPT)
    made.move_out()
    made.clear()
    assert not made.evict()
    assert made.length(slot) == 200
    assert made.take_operations() == []


def test_drafts_are_trimmed_to_what_is_computed() -> None:
    made = cache()
    slot = computed(made, PROMPT)
    made.take_operations()
    made.forget_drafts(slot)
    assert made.take_operations() == [Trim(slot, 200)]
    assert made.length(slot) == 200


def test_without_sharing_nothing_is_kept_or_taken_over() -> None:
    made = KVCache(cells=1000, slots=6, store=None)
    slot = computed(made, PROMPT)
    other = made.enter(PROMPT, 200)
    made.catch_up(other)
    made.restore(other, 0)
    assert made.length(other) == 0
    made.leave(slot, keep=True)
    operations: list[Operation] = [Empty(slot)]
    assert made.take_operations() == operations
    assert made.free == 1000


def test_least_recently_used_is_evicted_first() -> None:
    made = cache(stored=0)
    slots = [kept(made, [number, *PROMPT[:100]]) for number in range(3)]
    assert reused(made, [0, *PROMPT[:100]]) == 100
    assert [operation for operation in made.take_operations() if isinstance(operation, Share)]
    assert all(made.evict() for _ in range(3))
    assert made.take_operations() == [Empty(slots[1]), Empty(slots[2]), Empty(slots[0])]


def test_what_is_kept_moves_out_unless_all_of_it_is_in_use() -> None:
    made = cache()
    used, other = kept(made, PROMPT), kept(made, [7] * 50)
    slot = made.enter([*PROMPT, 7], 201)
    made.catch_up(slot)
    made.take_operations()
    made.move_out()
    save, empty = made.take_operations()
    assert isinstance(save, Save)
    assert (save.slot, save.segment.tokens, save.segment.start) == (other, [7] * 50, 0)
    assert empty == Empty(other)
    assert made.free == 1000 - 200
    made.leave(slot, keep=False)
    made.move_out()
    assert isinstance(made.take_operations()[1], Save)
    assert made.free == 1000
    assert not made.evict()
    assert used != other


def test_each_part_is_saved_once_and_comes_back_from_there() -> None:
    made = cache()
    kept(made, PROMPT[:100], stored=True)
    slot = made.enter([*PROMPT[:80], *[7] * 20], 100)
    made.restore(slot, 0)
    made.extend(slot, 20)
    made.leave(slot, keep=True)
    made.take_operations()
    made.move_out()
    (save, _) = made.take_operations()
    assert isinstance(save, Save)
    assert save.segment.size == 20
    again = made.enter([*PROMPT[:80], *[7] * 25], 105)
    made.restore(again, 0)
    restored = [(part.start, part.end) for part in made.take_operations() if isinstance(part, Restore)]
    assert restored == [(0, 80), (80, 100)]
    assert made.free == 1000 - 100


def test_what_is_in_the_cache_is_not_taken_from_the_store() -> None:
    made = cache()
    kept(made, PROMPT, stored=True)
    first = made.enter(PROMPT[:150], 150)
    made.restore(first, 0)
    made.extend(first, 1)
    second = made.enter(PROMPT, 200)
    made.catch_up(second)
    made.take_operations()
    made.restore(second, 0)
    (restore,) = made.take_operations()
    assert isinstance(restore, Restore)
    assert (restore.start, restore.end) == (150, 199)
    assert made.free == 1000 - 199


def test_little_is_not_worth_restoring() -> None:
    made = cache()
    kept(made, PROMPT, stored=True)
    slot = made.enter(PROMPT, 200)
    made.restore(slot, 192)  # the length of a leader's prefix
    assert made.length(slot) == 0
    made.restore(slot, 191)
    assert made.length(slot) == 199


def test_nothing_is_restored_that_has_no_room() -> None:
    made = cache(cells=300)
    kept(made, PROMPT, stored=True)
    running = computed(made, [1] * 101)
    slot = made.enter(PROMPT[:50], 50)
    made.restore(slot, 0)  # llama.cpp restores a segment as a whole
    assert made.length(slot) == 0
    made.leave(running, keep=False)
    made.restore(slot, 0)
    assert made.length(slot) == 49


def test_each_adapter_finds_what_was_computed_with_itself_alone(*, stored: bool) -> None:
    made = cache()
    kept(made, PROMPT[:100], stored=stored)
    kept(made, PROMPT[:150], adapter="a", stored=stored)
    kept(made, PROMPT[:120], adapter="b", stored=stored)  # a prefix of another adapter's prompt
    assert [reused(made, PROMPT, adapter) for adapter in (None, "a", "b", "c")] == [100, 150, 120, 0]


def test_what_an_adapter_left_is_forgotten_with_it(*, stored: bool) -> None:
    made = cache()
    for adapter in (None, "a", "b"):
        kept(made, PROMPT, adapter=adapter, stored=stored)
    made.forget_adapter("a")
    assert [reused(made, PROMPT, adapter) for adapter in (None, "a", "b")] == [199, 0, 199]


def test_nothing_is_left_when_all_is_dropped(*, stored: bool) -> None:
    made = cache()
    kept(made, PROMPT, stored=stored)
    made.clear()
    assert reused(made, PROMPT) == 0
    assert made.free == 1000


@pytest.mark.parametrize("others", [1, 200])
def test_lookup_costs_the_same_however_many_begin_alike(others: int, *, stored: bool) -> None:
    made = cache(cells=100_000, slots=210, stored=100_000)
    for number in range(others):
        kept(made, counted([*PROMPT, 2000 + number, *PROMPT]), stored=stored)
    prompt = counted([*PROMPT, 7, *PROMPT])
    Counted.operations = 0
    assert reused(made, prompt) == len(PROMPT)
    lookups = 3  # among running sequences, finished ones, and those in the store
    assert Counted.operations <= lookups * (2 * (len(PROMPT) + BLOCK) + BLOCK * (math.log2(others) + 6))
