"""Text from tokens: whole characters, without stop strings."""

import codecs
import itertools
from typing import SupportsIndex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ponant.completion.output import AnswerOutput
from ponant.completion.parts import Arguments, CallBegun, Part, Text, Thought
from ponant.completion.stops import StopScanner
from ponant.prompts.answer.output_format import PLAIN, OutputFormat, Thinking
from ponant.prompts.tools.call_formats import NAMED, TAGGED
from tests.soak import examples


def until_stop(text: str, stops: list[str]) -> str:
    """Return the text before the stop string that ends first; of several with the same end, the longest counts."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))]
    return text


def output(pieces: list[bytes], stops: list[str], *, min_tokens: int = 0) -> AnswerOutput:
    """Return an output whose token ids are the indexes of the pieces."""
    return AnswerOutput(pieces.__getitem__, stops, min_tokens=min_tokens)


def shown_by_token(pieces: list[bytes], stops: list[str], *, min_tokens: int = 0) -> list[str]:
    made = output(pieces, stops, min_tokens=min_tokens)
    shown = [text_of(made.push([token])) for token in range(len(pieces))]
    return [*shown, text_of(made.finish())]


def text_of(parts: list[Part]) -> str:
    """Return the text of parts, all of which must be non-empty text."""
    assert all(isinstance(part, Text) and part.text for part in parts)
    return "".join(part.text for part in parts if isinstance(part, Text))


def cut(data: bytes, at: list[int]) -> list[bytes]:
    borders = [0, *sorted(min(position, len(data)) for position in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(borders)]


few_letters = st.text("ab", max_size=12)
texts = st.one_of(few_letters, st.text("aé漢😀\n", max_size=10), st.text(max_size=20))
stop_lists = st.lists(
    st.one_of(st.text("ab", min_size=1, max_size=4), st.text("aé漢😀\n", min_size=1, max_size=3)), max_size=4
)
cuts = st.lists(st.integers(0, 60), max_size=25)


@settings(deadline=None, max_examples=examples(500))
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


@settings(deadline=None, max_examples=examples(300))
@given(text=texts, stops=stop_lists, at=cuts)
def test_nothing_is_shown_that_a_stop_could_still_take_back(text: str, stops: list[str], at: list[int]) -> None:
    pieces = cut(text.encode("utf-8", "replace"), at)
    made = output(pieces, stops)
    shown, arrived = "", b""
    for token, piece in enumerate(pieces):
        shown += text_of(made.push([token]))
        arrived += piece
        complete = arrived.decode("utf-8", "ignore")
        for rest in (stop[start:] for stop in stops for start in range(len(stop) + 1)):
            assert until_stop(complete + rest, stops).startswith(shown)


@settings(deadline=None, max_examples=examples(300))
@given(text=texts, stops=stop_lists, at=cuts)
def test_no_more_is_held_back_than_may_become_a_stop(text: str, stops: list[str], at: list[int]) -> None:
    pieces = cut(text.encode("utf-8", "replace"), at)
    made = output(pieces, stops)
    shown, arrived = "", b""
    for token, piece in enumerate(pieces):
        shown += text_of(made.push([token]))
        arrived += piece
        if made.stopped:
            break
        complete = arrived.decode("utf-8", "ignore")
        held = complete.removeprefix(shown)
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


@settings(deadline=None, max_examples=examples(500))
@given(data=st.one_of(st.binary(max_size=20), st.lists(st.sampled_from(list("漢😀é".encode()))).map(bytes)), at=cuts)
def test_only_invalid_bytes_are_replaced(data: bytes, at: list[int]) -> None:
    """An incomplete character at the end is not invalid: it was cut off."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    assert "".join(shown_by_token(cut(data, at), [])) == decoder.decode(data)


@settings(deadline=None)
@given(text=texts, stops=stop_lists, at=cuts)
def test_streamed_or_at_once_it_is_the_same(text: str, stops: list[str], at: list[int]) -> None:
    pieces = cut(text.encode("utf-8", "replace"), at)
    by_token = output(pieces, stops)
    shown = "".join(text_of(by_token.push([token])) for token in range(len(pieces)))
    at_once = output(pieces, stops)
    assert text_of(at_once.push(range(len(pieces)))) == shown
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
        pytest.param([b"a\xe6\xbc"], [], ["a", ""], 1, id="half a character at the end"),
        pytest.param([b"a\xe6", b"b"], [], ["a", "\ufffdb", ""], 2, id="half a character in the middle"),
        pytest.param([b"a", b"", b"b"], ["ab"], ["", "", "", ""], 3, id="a token without text"),
    ],
)
def test_shown_at_each_token(pieces: list[bytes], stops: list[str], shown: list[str], tokens: int) -> None:
    made = output(pieces, stops)
    assert [*(text_of(made.push([token])) for token in range(len(pieces))), text_of(made.finish())] == shown
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
    assert made.push([0, 1, 2, 3]) == [Text("a")]
    assert made.push([2, 3]) == []
    assert made.finish() == []
    assert (made.stopped, made.tokens) == (True, 2)


def test_scanner_says_what_it_found() -> None:
    scanner = StopScanner(["###"])
    assert [scanner.push("a#"), scanner.push("#b##"), scanner.found] == ["a", "##b", False]
    assert [scanner.push("#c"), scanner.found, scanner.push("d"), scanner.flush()] == ["", True, "", ""]


class CountedText(str):
    """Text that counts the reads of its characters."""

    __slots__ = ("reads",)
    reads: int

    def __new__(cls, text: str) -> "CountedText":
        counted = super().__new__(cls, text)
        counted.reads = 0
        return counted

    def __getitem__(self, place: SupportsIndex | slice) -> str:
        self.reads += 1
        return super().__getitem__(place)


@pytest.mark.parametrize("text", ["a" * 4000, "ab" * 2000, ("a" * 99 + "b") * 40])
def test_long_stop_strings_cost_time_by_the_length_of_the_text(text: str) -> None:
    stop = CountedText("a" * 100_000 + "b")
    scanner = StopScanner([stop])
    shown = "".join(scanner.push(character) for character in text)
    assert shown + scanner.flush() == text
    assert stop.reads < 10 * len(text)


TRIGGER, ARGUMENTS, OPEN, CLOSE = 100, 101, 102, 103
TOOLS = OutputFormat(calls=TAGGED, functions=frozenset({"f"}))
CONTROLS = {TRIGGER: "[TOOL_CALLS]", ARGUMENTS: "[ARGS]", OPEN: "[THINK]", CLOSE: "[/THINK]"}
NAMED_CALLS = OutputFormat(
    calls=NAMED, functions=frozenset({"f"}), controls={token: CONTROLS[token] for token in (TRIGGER, ARGUMENTS)}
)
THOUGHTS = OutputFormat(thinking=Thinking("[THINK]", "[/THINK]"), controls={OPEN: "[THINK]", CLOSE: "[/THINK]"})
CALL = '<tool_call>\n{"name": "f", "arguments": {"a": "stop"}}\n</tool_call>'


def read(reading: OutputFormat, written: list[str | int], stops: list[str], *, min_tokens: int = 0) -> list[Part]:
    """Return the parts of an answer of texts and control tokens, with adjacent parts of one kind joined."""
    pieces = {index: text.encode() for index, text in enumerate(written) if isinstance(text, str)}
    made = AnswerOutput(lambda token: pieces.get(token, b""), stops, min_tokens=min_tokens, output_format=reading)
    tokens = [index if isinstance(token, str) else token for index, token in enumerate(written)]
    parts = [part for token in tokens for part in made.push([token])] + made.finish()
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Text | Thought) and isinstance(last, Text | Thought) and type(last) is type(part):
            joined[-1] = type(part)(last.text + part.text)
        elif isinstance(part, Arguments) and isinstance(last, Arguments) and last.index == part.index:
            joined[-1] = Arguments(part.index, last.text + part.text)
        else:
            joined.append(part)
    return joined


def test_control_tokens_that_do_not_count_have_no_text() -> None:
    assert read(NAMED_CALLS, ["a", 104, OPEN, "b"], []) == [Text("ab")]


@pytest.mark.parametrize(
    ("text", "shown"), [("", ""), ("Wait.\n\n", "Wait."), ("\n\n", ""), (" a \n b \n", " a \n b"), (" Wait.", " Wait.")]
)
def test_white_space_before_calls_is_left_out(text: str, shown: str) -> None:
    called: list[Part] = [*([Text(shown)] if shown else []), CallBegun(0, "f"), Arguments(0, '{"a": "stop"}')]
    assert read(TOOLS, [text, CALL], []) == called
    assert read(TOOLS, [*text, *CALL], []) == called
    assert read(NAMED_CALLS, [text, TRIGGER, "f", ARGUMENTS, '{"a": "stop"}'], []) == called
    assert read(NAMED_CALLS, [*text, TRIGGER, "f", ARGUMENTS, '{"a": "stop"}'], ["?"]) == called


@pytest.mark.parametrize("reading", [PLAIN, TOOLS, NAMED_CALLS, THOUGHTS])
@pytest.mark.parametrize("text", ["a \n", " \n", "a \n b \n", "\n", ""])
def test_white_space_at_the_end_of_a_text_is_part_of_it(reading: OutputFormat, text: str) -> None:
    whole = [Text(text)] if text else []
    assert read(reading, [text], []) == read(reading, [*text], []) == read(reading, [*text], ["?"]) == whole
    assert read(reading, [*text], [], min_tokens=2) == whole
    assert read(reading, [*text, "stop"], ["stop"]) == whole


def test_stops_do_not_count_in_calls() -> None:
    called = [Text("Wait."), CallBegun(0, "f"), Arguments(0, '{"a": "stop"}')]
    for stop in ("stop", '"', "arguments", "tool_call", "}"):
        assert read(TOOLS, ["Wait.", CALL], [stop]) == called
    assert read(NAMED_CALLS, ["Wait.", TRIGGER, "f", ARGUMENTS, '{"a": "stop"}'], ["stop", "f"]) == called


def test_stops_do_not_count_in_thinking() -> None:
    written: list[str | int] = [OPEN, "a stop", CLOSE, "b stop", " c"]
    assert read(THOUGHTS, written, ["stop"]) == [Thought("a stop"), Text("b ")]


def test_no_stop_lies_half_in_the_thinking_and_half_in_the_text() -> None:
    assert read(THOUGHTS, [OPEN, "a st", CLOSE, "op b"], ["stop"]) == [Thought("a st"), Text("op b")]


def test_stop_before_a_call_leaves_it_out() -> None:
    assert read(TOOLS, ["stop here. ", CALL], ["stop"]) == []
    assert read(TOOLS, ["a stop here. ", CALL], ["stop"]) == [Text("a ")]
    assert read(TOOLS, ["a", " stop", CALL], ["stop"]) == [Text("a ")]


def test_what_may_become_a_stop_is_shown_before_a_call() -> None:
    assert read(TOOLS, ["a st", CALL], ["stop"])[:2] == [Text("a st"), CallBegun(0, "f")]
    assert read(NAMED_CALLS, ["a st", TRIGGER, "f", ARGUMENTS, "{}"], ["stop"])[:2] == [Text("a st"), CallBegun(0, "f")]


@pytest.mark.parametrize("reading", [PLAIN, TOOLS, NAMED_CALLS, THOUGHTS])
@pytest.mark.parametrize("stop", ["\n\n", " \n", '{"', "]"])
def test_stops_count_whatever_else_an_answer_might_have(reading: OutputFormat, stop: str) -> None:
    written = ["a", " ", "\n", "\n", '[{"', 'b"', "}]", "c"]
    text = "".join(written)
    assert read(reading, [*written], [stop]) == [Text(text[: text.index(stop)])]


@pytest.mark.parametrize("reading", [PLAIN, TOOLS, NAMED_CALLS, THOUGHTS])
def test_stop_at_the_end_is_found_when_its_last_token_comes(reading: OutputFormat) -> None:
    made = AnswerOutput([b"a", b"\n", b"\n", b"b"].__getitem__, ["\n\n"], output_format=reading)
    assert (text_of(made.push([0, 1, 2])), made.stopped, made.tokens) == ("a", True, 3)


@pytest.mark.parametrize("reading", [PLAIN, TOOLS, NAMED_CALLS, THOUGHTS])
@pytest.mark.parametrize(("min_tokens", "shown"), [(0, "a"), (1, "a"), (2, "a\n\nb"), (3, "a\n\nb")])
def test_stops_that_begin_within_min_tokens_do_not_count(reading: OutputFormat, min_tokens: int, shown: str) -> None:
    assert read(reading, ["a", "\n", "\nb"], ["\n\n"], min_tokens=min_tokens) == [Text(shown)]


def test_thinking_counts_in_min_tokens() -> None:
    assert read(THOUGHTS, [OPEN, "a", CLOSE, "stop", "b"], ["stop"], min_tokens=3) == [Thought("a")]
    assert read(THOUGHTS, [OPEN, "a", CLOSE, "stop", "b"], ["stop"], min_tokens=4) == [Thought("a"), Text("stopb")]


@pytest.mark.parametrize("kind", ["text", "thinking", "arguments"])
@pytest.mark.parametrize("at", range(1, len("é漢😀".encode())))
def test_characters_are_whole_in_every_part(kind: str, at: int) -> None:
    data = "é漢😀".encode()
    pieces = [data[:at], data[at:]]
    before: list[int] = {"text": [], "thinking": [OPEN], "arguments": [TRIGGER, ARGUMENTS]}[kind]
    reading = THOUGHTS if kind == "thinking" else NAMED_CALLS
    made = AnswerOutput(pieces.__getitem__, output_format=reading)
    parts = [*made.push(before), *made.push([0]), *made.push([1]), *made.finish()]
    assert "".join(part.text for part in parts if not isinstance(part, CallBegun)) == "é漢😀"
