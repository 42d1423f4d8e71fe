"""Prefix store: each token once, within the capacity, the least recently used dropped first."""

from hypothesis import given
from hypothesis import strategies as st

from ponant.engine.llama.block_trie import BLOCK
from ponant.engine.llama.prefix_index import Computed
from ponant.engine.llama.prefix_store import PrefixStore, Segment, path_of

TEXT = list(range(1000, 2000))


def add(store: PrefixStore, tokens: list[int], *, repeatable: int = 0, adapter: str | None = None) -> Segment | None:
    return store.add(Computed(tokens, len(tokens), adapter, repeatable))


def added(store: PrefixStore, tokens: list[int], *, repeatable: int = 0) -> Segment:
    segment = add(store, tokens, repeatable=repeatable)
    assert segment
    return segment


def test_only_what_is_not_there_yet_is_added() -> None:
    store = PrefixStore(1000)
    first = added(store, TEXT[:100])
    assert (first.start, first.size, first.parent) == (0, 100, None)
    assert add(store, TEXT[:100]) is None
    assert add(store, TEXT[:60]) is None
    second = added(store, [*TEXT[:80], *[7] * 30])
    assert (second.start, second.size, second.parent) == (80, 30, first)
    third = added(store, [*TEXT[:40], *[8] * 30])
    assert (third.start, third.parent) == (40, first)
    fourth = added(store, [*TEXT[:80], *[7] * 20, *[9] * 30])
    assert path_of(fourth) == [first, second, fourth]
    assert store.size == 100 + 30 + 30 + 30


def test_parent_is_the_one_that_has_the_tokens_itself() -> None:
    store = PrefixStore(1000)
    first = added(store, TEXT[:100])
    added(store, [*TEXT[:80], *[7] * 30])
    assert added(store, [*TEXT[:80], *[8] * 30]).parent is first


def test_least_recently_used_go_first_and_those_that_others_need_stay() -> None:
    store = PrefixStore(300)
    first = added(store, TEXT[:100])
    second = added(store, [*TEXT[:100], *[7] * 50])
    third = added(store, [8] * 100)
    store.touch(second)
    fourth = added(store, [9] * 100)
    assert list(store) == [second, first, fourth]
    assert third not in list(store)
    fifth = added(store, [6] * 180)
    assert list(store) == [fourth, fifth]
    assert store.size == 280


def test_what_is_longer_than_all_room_is_cut() -> None:
    store = PrefixStore(150)
    first = added(store, TEXT[:100])
    second = added(store, TEXT[:300])
    assert (second.start, second.tokens) == (100, TEXT[:150])
    assert list(store) == [first, second]
    assert add(PrefixStore(0), TEXT) is None
    assert add(PrefixStore(7), TEXT) is None


def test_what_repeats_goes_on_from_what_repeats_alone() -> None:
    store = PrefixStore(5000)
    added(store, TEXT[:200])
    repeatable = added(store, TEXT[:210], repeatable=3 * BLOCK)
    assert (repeatable.start, repeatable.repeatable) == (0, 3 * BLOCK)
    longer = added(store, TEXT[:400], repeatable=6 * BLOCK)
    assert (longer.start, longer.parent, longer.repeatable) == (3 * BLOCK, repeatable, 6 * BLOCK)
    other = added(store, [*TEXT[:390], *[7] * 10])
    assert (other.start, other.repeatable) == (390, 0)


def test_adapters_are_kept_apart() -> None:
    store = PrefixStore(1000)
    added(store, TEXT[:100])
    assert add(store, TEXT[:100], adapter="a")
    store.forget_adapter("a")
    assert [segment.adapter for segment in store] == [None]
    assert store.size == 100
    store.clear()
    assert (list(store), store.size) == ([], 0)


@given(
    st.integers(0, 100),
    st.lists(st.tuples(st.lists(st.integers(0, 1), max_size=60), st.integers(0, 60), st.sampled_from([None, "a"]))),
)
def test_store_stays_whole_and_within_its_capacity(
    capacity: int, texts: list[tuple[list[int], int, str | None]]
) -> None:
    store = PrefixStore(capacity)
    for tokens, repeatable, adapter in texts:
        segment = store.add(Computed(tokens, len(tokens), adapter, min(repeatable, len(tokens))))
        segments = list(store)
        assert store.size == sum(other.size for other in segments) <= capacity
        for other in segments:
            assert other.size > 0
            assert other.children == sum(child.parent is other for child in segments)
            if other.parent:
                assert other.parent in segments
                assert other.parent.start < other.start <= len(other.parent.tokens)
                assert other.parent.adapter == other.adapter
                assert other.parent.tokens[: other.start] == other.tokens[: other.start]
        if segment:
            assert tokens[: len(segment.tokens)] == segment.tokens
