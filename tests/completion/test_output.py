"""Text from tokens: whole characters, and nothing of a stop string."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ponant.completion.output import StopScanner, TextOutput


def until_stop(text: str, stops: list[str]) -> str:
    """What comes before the stop string that is complete first; of those that end together, before the longest."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))]
    return text


def output(pieces: list[bytes], stops: list[str], *, min_tokens: int = 0) -> TextOutput:
    """An output whose token ids are the numbers of the pieces."""
    return TextOutput(pieces.__getitem__, stops, min_tokens=min_tokens)


def shown_by_token(pieces: list[bytes], stops: list[str], *, min_tokens: int = 0) -> list[str]:
    made = output(pieces, stops, min_tokens=min_tokens)
    shown = [made.push([token]) for token in range(len(pieces))]
    return [*shown, made.finish()]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    borders = [0, *sorted(min(position, len(data)) for position in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(borders)]


few_letters = st.text("ab", max_size=12)
texts = st.one_of(few_letters, st.text("aé漢😀\n", max_size=10), st.text(max_size=20))
stop_lists = st.lists(
    st.one_of(st.text("ab", min_size=1, max_size=4), st.text("aé漢😀\n", min_size=1, max_size=3)), max_size=4
)
cuts = st.lists(st.integers(0, 60), max_size=25)


@settings(deadline=None, max_examples=500)
@given(text=texts, stops=stop_lists, at=cuts)
@example(text="abcd", stops=["abcd", "bc"], at=[])
@example(text="abcd", stops=["abcd", "bc"], at=[1, 2, 3])
@example(text="abcd", stops=["cd", "bcd"], at=[])
@example(text="xabx", stops=["abc", "ab"], at=[2])
@example(text="aab", stops=["ab"], at=[1, 2])
@example(text="漢漢", stops=["漢"], at=[1, 2, 3, 4, 5])
def test_text_is_shown_up_to_the_first_stop_however_it_is_cut(text: str, stops: list[str], at: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    assert "".join(shown_by_token(cut(data, at), stops)) == until_stop(data.decode(), stops)


@settings(deadline=None, max_examples=300)
@given(text=texts, stops=stop_lists, at=cuts)
def test_nothing_is_shown_that_a_stop_could_still_take_back(text: str, stops: list[str], at: list[int]) -> None:
    pieces = cut(text.encode("utf-8", "replace"), at)
    made = output(pieces, stops)
    shown, arrived = "", b""
    for token, piece in enumerate(pieces):
        shown += made.push([token])
        arrived += piece
        complete = arrived.decode("utf-8", "ignore")
        for rest in (stop[start:] for stop in stops for start in range(len(stop) + 1)):
            assert until_stop(complete + rest, stops).startswith(shown)


@settings(deadline=None, max_examples=300)
@given(text=texts, stops=stop_lists, at=cuts)
def test_no_more_is_held_back_than_may_become_a_stop(text: str, stops: list[str], at: list[int]) -> None:
    pieces = cut(text.encode("utf-8", "replace"), at)
    made = output(pieces, stops)
    shown, arrived = "", b""
    for token, piece in enumerate(pieces):
        shown += made.push([token])
        arrived += piece
        if made.stopped:
            break
        complete = arrived.decode("utf-8", "ignore")
        held = complete.removeprefix(shown)
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


@settings(deadline=None, max_examples=500)
@given(data=st.one_of(st.binary(max_size=20), st.lists(st.sampled_from(list("漢😀é".encode()))).map(bytes)), at=cuts)
def test_only_invalid_bytes_are_replaced(data: bytes, at: list[int]) -> None:
    assert "".join(shown_by_token(cut(data, at), [])) == data.decode("utf-8", "replace")


@settings(deadline=None)
@given(text=texts, stops=stop_lists, at=cuts)
def test_streamed_or_at_once_it_is_the_same(text: str, stops: list[str], at: list[int]) -> None:
    pieces = cut(text.encode("utf-8", "replace"), at)
    by_token = output(pieces, stops)
    shown = "".join(by_token.push([token]) for token in range(len(pieces)))
    at_once = output(pieces, stops)
    assert at_once.push(range(len(pieces))) == shown
    assert (at_once.stopped, at_once.tokens, at_once.finish()) == (by_token.stopped, by_token.tokens, by_token.finish())


@pytest.mark.parametrize(
    ("pieces", "stops", "shown", "tokens"),
    [
        pytest.param([b"one", b" two", b" three"], [], ["one", " two", " three", ""], 3, id="no stop"),
        pytest.param([b"one", b" two", b" three"], [" two"], ["one", "", "", ""], 2, id="one token"),
        pytest.param([b"one", b" two", b" three"], ["e t"], ["on", "", "", ""], 2, id="across a border"),
        pytest.param([b"one", b" two", b" three"], ["e th"], ["on", "e two", " thre", "e"], 3, id="a false alarm"),
        pytest.param([b"on", b"e", b"x"], ["one"], ["", "", "", ""], 2, id="from the beginning"),
        pytest.param([b"a", b"\n"], ["\n\n"], ["a", "", "\n"], 2, id="what was held back comes at the end"),
        pytest.param([b"abcde"], ["cd", "bcde"], ["ab", ""], 1, id="the first to be complete"),
        pytest.param([b"abcde"], ["de", "bcde"], ["a", ""], 1, id="the longest that ends there"),
        pytest.param([b"\xe6\xbc", b"\xa2", b"."], ["漢"], ["", "", "", ""], 2, id="in halves of a character"),
        pytest.param([b"\xe6\xbc", b"\xa2", b"."], [], ["", "漢", ".", ""], 3, id="halves of a character"),
        pytest.param([b"a\xe6\xbc"], [], ["a", "\ufffd"], 1, id="half a character at the end"),
        pytest.param([b"a\xe6", b"b"], [], ["a", "\ufffdb", ""], 2, id="half a character in the middle"),
        pytest.param([b"a", b"", b"b"], ["ab"], ["", "", "", ""], 3, id="a token without text"),
    ],
)
def test_shown_at_each_token(pieces: list[bytes], stops: list[str], shown: list[str], tokens: int) -> None:
    made = output(pieces, stops)
    assert [*(made.push([token]) for token in range(len(pieces))), made.finish()] == shown
    assert made.tokens == tokens


@pytest.mark.parametrize(
    ("min_tokens", "shown"),
    [
        (0, ["", "", "", "", ""]),
        (1, ["s", "", "", "", ""]),
        (2, ["s", "s", "", "", ""]),
        (4, ["s", "s", "s", "x", ""]),
    ],
)
def test_stops_count_only_after_min_tokens(min_tokens: int, shown: list[str]) -> None:
    assert shown_by_token([b"s", b"s", b"s", b"x"], ["s"], min_tokens=min_tokens) == shown


def test_stop_that_begins_within_min_tokens_does_not_count() -> None:
    assert shown_by_token([b"ab", b"cd"], ["bc"], min_tokens=1) == ["ab", "cd", ""]


def test_tokens_after_a_stop_do_not_count() -> None:
    made = output([b"a", b"stop", b"b", b"c"], ["stop"])
    assert made.push([0, 1, 2, 3]) == "a"
    assert made.push([2, 3]) == ""
    assert made.finish() == ""
    assert (made.stopped, made.tokens) == (True, 2)


def test_scanner_says_what_it_found() -> None:
    scanner = StopScanner(["###"])
    assert [scanner.push("a#"), scanner.push("#b##"), scanner.found] == ["a", "##b", False]
    assert [scanner.push("#c"), scanner.found, scanner.push("d"), scanner.flush()] == ["", True, "", ""]
