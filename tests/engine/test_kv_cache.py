"""The bookkeeping of the KV cache: what is kept for whom, down to the piece."""

import pytest

from ponant.engine.kv_cache import PIECE, Empty, KVCache, Operation, Share, Trim

PROMPT = list(range(1000, 1200))
"""Three whole pieces and some tokens more."""


def cache(*, cells: int = 1000, slots: int = 6, retained: int = 800) -> KVCache:
    return KVCache(cells=cells, slots=slots, retained=retained)


def computed(
    made: KVCache,
    prompt: list[int],
    answer: list[int] | None = None,
    *,
    repeatable: bool = False,
    adapter: str | None = None,
) -> int:
    """Compute a prompt and an answer in a new slot, from wherever it can go on; returns the slot."""
    tokens = [*prompt, *(answer or [])]
    slot = made.enter(tokens, len(prompt), adapter)
    made.catch_up(slot)
    while (length := made.length(slot)) < len(tokens):
        made.extend(slot, min(PIECE - length % PIECE, len(tokens) - length), repeatable=repeatable)
    return slot


def kept(
    made: KVCache,
    prompt: list[int],
    answer: list[int] | None = None,
    *,
    repeatable: bool = False,
    adapter: str | None = None,
) -> int:
    slot = computed(made, prompt, answer, repeatable=repeatable, adapter=adapter)
    made.leave(slot, keep=True)
    made.take_operations()
    return slot


def reused(made: KVCache, prompt: list[int], adapter: str | None = None) -> int:
    """How much of a prompt would be taken over now."""
    slot = made.enter(prompt, len(prompt), adapter)
    made.catch_up(slot)
    length = made.length(slot)
    made.leave(slot, keep=False)
    return length


@pytest.mark.parametrize(
    ("length", "left"), [(5, 0), (63, 0), (64, 0), (65, 64), (128, 64), (129, 128), (192, 128), (193, 192), (200, 192)]
)
def test_repeatable_prompt_finds_the_whole_pieces_of_itself_but_for_its_last_token(length: int, left: int) -> None:
    made = cache()
    kept(made, PROMPT[:length], [1, 2, 3], repeatable=True)
    made.clear_for(PROMPT[:length])
    assert reused(made, PROMPT[:length]) == left
    assert made.free == 1000 - left


def test_nothing_is_left_for_a_repeatable_prompt_of_what_came_about_otherwise() -> None:
    made = cache()
    slot = kept(made, PROMPT)
    made.clear_for(PROMPT)
    assert made.take_operations() == [Empty(slot)]
    assert made.free == 1000


def test_answer_is_not_repeatable_though_it_was_computed_alone() -> None:
    made = cache()
    kept(made, PROMPT[:100], PROMPT[100:], repeatable=True)
    made.clear_for(PROMPT)
    assert reused(made, PROMPT) == 64


def test_what_begins_otherwise_is_left_out_at_the_border_of_a_piece() -> None:
    made = cache()
    slot = kept(made, PROMPT, repeatable=True)
    made.clear_for([*PROMPT[:150], 7, 8, 9])
    assert made.take_operations() == [Trim(slot, 128)]
    assert made.free == 1000 - 128
    assert reused(made, PROMPT) == 128


def test_everything_is_dropped_for_a_prompt_that_begins_otherwise() -> None:
    made = cache()
    for number in range(3):
        kept(made, [number, *PROMPT], repeatable=True)
    made.clear_for(PROMPT)
    assert made.free == 1000
    assert not made.evict()


def test_what_was_taken_over_from_a_repeatable_sequence_is_repeatable_in_whole_pieces() -> None:
    made = cache()
    kept(made, PROMPT[:150], repeatable=True)
    kept(made, [*PROMPT[:140], 7], [1] * 100)  # takes over 140 tokens; the rest came about in company
    made.clear_for([*PROMPT[:140], 7, 1, 1, 1])
    assert reused(made, [*PROMPT[:140], 7, 1, 1, 1]) == 128


def test_what_was_not_taken_over_from_a_repeatable_sequence_is_not_repeatable() -> None:
    made = cache()
    kept(made, PROMPT[:150], repeatable=True)
    other = [*PROMPT[:100], *range(100)]
    kept(made, other)
    made.clear_for(other)
    assert reused(made, other) == 64


def test_pieces_that_came_after_others_are_dropped_with_them() -> None:
    made = cache()
    kept(made, PROMPT[:100])
    slot = kept(made, PROMPT)
    made.clear_for(PROMPT)
    assert Empty(slot) in made.take_operations()
    assert made.free == 1000


@pytest.mark.parametrize(("length", "left"), [(5, 0), (64, 0), (65, 64), (129, 128), (192, 128), (200, 192)])
def test_exact_prompt_is_cut_back_by_its_last_piece(length: int, left: int) -> None:
    made = cache()
    prompt = PROMPT[:length]
    slot = kept(made, prompt, [1, 2, 3, 4, 5, 6])
    made.cut_back(prompt)
    assert made.take_operations() == [Trim(slot, left) if left else Empty(slot)]
    assert made.free == 1000 - left
    assert reused(made, prompt) == left


@pytest.mark.parametrize("other", [PROMPT[:150], [*PROMPT, 1], [7, *PROMPT[1:]], []])
def test_other_prompts_are_not_cut_back(other: list[int]) -> None:
    made = cache()
    kept(made, PROMPT, [1, 2, 3])
    made.cut_back(other)
    assert made.take_operations() == []
    assert reused(made, [*PROMPT, 1, 2, 3, 4]) == 203


def test_cut_back_leaves_cells_to_those_who_share_them() -> None:
    made = cache()
    prompt = PROMPT[:150]
    slot = computed(made, prompt)
    other = made.enter([*prompt, 7], 151)
    made.catch_up(other)
    made.leave(slot, keep=True)
    made.take_operations()
    made.cut_back(prompt)
    assert made.take_operations() == [Trim(slot, 128)]
    assert made.length(other) == 150
    assert made.free == 1000 - 150
    made.leave(other, keep=False)
    assert made.free == 1000 - 128


def test_running_sequences_are_left_alone() -> None:
    made = cache()
    slot = computed(made, PROMPT)
    made.clear_for([1, 2, 3])
    made.cut_back(PROMPT)
    made.clear()
    assert made.length(slot) == 200
    assert made.take_operations() == []


def test_what_was_shortened_is_kept_and_evicted_like_the_rest() -> None:
    made = cache()
    slot = kept(made, PROMPT, repeatable=True)
    made.clear_for(PROMPT)
    made.take_operations()
    assert made.evict()
    assert made.take_operations() == [Empty(slot)]
    assert made.free == 1000


def test_drafts_are_trimmed_to_what_is_computed() -> None:
    made = cache()
    slot = computed(made, PROMPT)
    made.take_operations()
    made.forget_drafts(slot)
    assert made.take_operations() == [Trim(slot, 200)]
    assert made.length(slot) == 200


def test_without_sharing_nothing_is_kept_or_taken_over() -> None:
    made = cache(retained=0)
    slot = computed(made, PROMPT)
    other = made.enter(PROMPT, 200)
    made.catch_up(other)
    assert made.length(other) == 0
    made.leave(slot, keep=True)
    operations: list[Operation] = [Empty(slot)]
    assert made.take_operations() == operations
    assert made.free == 1000


def test_least_recently_used_is_evicted_first() -> None:
    made = cache()
    slots = [kept(made, [number, *PROMPT[:100]]) for number in range(3)]
    assert reused(made, [0, *PROMPT[:100]]) == 100
    assert [operation for operation in made.take_operations() if isinstance(operation, Share)]
    assert all(made.evict() for _ in range(3))
    assert made.take_operations() == [Empty(slots[1]), Empty(slots[2]), Empty(slots[0])]


def test_last_sequence_is_kept_however_long_and_others_only_as_far_as_there_is_room() -> None:
    made = cache(retained=250)
    first, second, third = ([number, *PROMPT[:149]] for number in range(3))
    for prompt in (first, second, third):
        kept(made, prompt)
    assert [reused(made, [*prompt, 1]) for prompt in (first, second, third)] == [0, 0, 150]
    longest = [9, *range(5000, 5500)]
    kept(made, longest)
    assert reused(made, [*longest, 1]) == 501
    assert reused(made, [*third, 1]) == 0


def test_each_adapter_finds_what_was_computed_with_itself_alone() -> None:
    made = cache()
    kept(made, PROMPT[:100])
    kept(made, PROMPT[:150], adapter="a")
    kept(made, PROMPT[:120], adapter="b")  # begins another one's prompt, but is not part of it
    assert [reused(made, PROMPT, adapter) for adapter in (None, "a", "b", "c")] == [100, 150, 120, 0]
    assert made.free == 1000 - 100 - 150 - 120


def test_what_an_adapter_left_is_forgotten_with_it() -> None:
    made = cache()
    for adapter in (None, "a", "b"):
        kept(made, PROMPT, adapter=adapter)
    made.forget_adapter("a")
    assert [reused(made, PROMPT, adapter) for adapter in (None, "a", "b")] == [199, 0, 199]
    assert made.free == 1000 - 2 * len(PROMPT)


def test_repeatable_and_exact_prompts_concern_their_own_adapter() -> None:
    made = cache()
    kept(made, PROMPT, repeatable=True)
    kept(made, PROMPT, repeatable=True, adapter="a")
    made.cut_back(PROMPT, "a")
    assert [reused(made, PROMPT, adapter) for adapter in (None, "a")] == [199, 192]
    made.clear_for(PROMPT, "a")
    assert [reused(made, PROMPT, adapter) for adapter in (None, "a")] == [0, 192]
