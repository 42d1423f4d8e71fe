"""Incremental syntax checks of JSON Lines."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.storage.json_lines import MAX_LINE_BYTES, MAX_REPORTED, InvalidLine, InvalidLinesError, JsonLines

OBJECTS: Any = st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.lists(st.text()), max_size=3)


def read(*pieces: bytes) -> JsonLines:
    lines = JsonLines()
    for piece in pieces:
        lines.feed(piece)
    lines.finish()
    return lines


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(
    st.lists(OBJECTS, min_size=1, max_size=5), st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \t\n"]), st.integers(1, 9)
)
def test_lines_are_counted_however_they_are_cut_and_ended(objects: list[Any], end: bytes, size: int) -> None:
    data = end.join(json.dumps(one, ensure_ascii=False).encode() for one in objects)
    for text in (data, data + end):
        lines = read(*cut(text, size))
        assert (lines.count, lines.first) == (len(objects), objects[0])


@given(st.binary(max_size=60), st.integers(1, 60))
def test_any_bytes_are_taken_or_refused_however_they_are_cut(data: bytes, size: int) -> None:
    def outcome(pieces: list[bytes]) -> Any:
        try:
            return read(*pieces).count
        except InvalidLinesError as error:
            return error.lines

    assert outcome(cut(data, size)) == outcome([data])


@pytest.mark.parametrize(
    ("data", "number", "words"),
    [
        (b'{"a": 1}\n{"a": }', 2, "it is not JSON: expected value at column 7"),
        (b'{"a": 1}\n\n[1]\n{}', 3, "not a JSON object"),
        (b'{"a": NaN}', 1, "not JSON"),
        (b'{"a": 1} {"b": 2}', 1, "trailing"),
        (b'{"a": "\xe9"}', 1, "not UTF-8"),
        (b'{"a": "\\ud800"}', 1, "not JSON"),
        (b'{"a": 1}\r{"b": 2}', 1, "not JSON"),
        ('{"a": 1}'.encode("utf-16"), 1, "UTF-16"),
        ('{"a": 1}'.encode("utf-8-sig"), 1, "byte order mark"),
        (b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 1, "nested too deeply"),
        (b'{"a": ' * 10_000, 1, "nested too deeply"),
        (b"\x7fELF\x00\x00\n", 1, "not JSON"),
        (b"", 1, "blank"),
        (b" \n\t\n", 1, "blank"),
    ],
    ids=str,
)
def test_what_is_none_is_refused_with_its_line(data: bytes, number: int, words: str) -> None:
    with pytest.raises(InvalidLinesError, match=words) as caught:
        read(data)
    assert [line.number for line in caught.value.lines] == [number]


def test_every_invalid_line_is_told_up_to_a_number() -> None:
    with pytest.raises(InvalidLinesError) as caught:
        read(b'{"a": 1}\n{"a": }\n{}\n\n[1]\n')
    assert caught.value.lines == (
        InvalidLine(2, "it is not JSON: expected value at column 7"),
        InvalidLine(5, "it is not a JSON object"),
    )
    lines = JsonLines()
    with pytest.raises(InvalidLinesError) as caught:
        lines.feed(b"{\n" * (MAX_REPORTED + 1))
    assert [line.number for line in caught.value.lines] == list(range(1, MAX_REPORTED + 1))


def test_line_without_end_is_refused_before_it_is_held() -> None:
    lines = JsonLines()
    lines.feed(b"{}\n")
    piece = b"x" * 2**20
    fed = iter(range(1000))
    with pytest.raises(InvalidLinesError, match="line 2: it is longer than 4 MiB"):
        for _ in fed:
            lines.feed(piece)
    assert next(fed) * len(piece) <= MAX_LINE_BYTES + len(piece)


def test_longest_line_is_taken() -> None:
    line = b'{"a": "' + b"x" * (MAX_LINE_BYTES - 9) + b'"}'
    assert read(line, b"\n", line).count == 2
