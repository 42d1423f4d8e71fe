"""Escaping of text that could become a control token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.prompts.escaping import Escaping
from tests.soak import examples

CONTROLS = ["<a>", "<a><b", "[I]", "[/I]", "aba", "<a>[I"]
letters = st.text("<>[]/Iab x", max_size=8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("<|a|>", "«<|a|>»"),
        ("x<|a|>y<|a|>", "x«<|a|>»y«<|a|>»"),
        ("x <", "x «<»"),
        (">x", "«>»x"),
        ("a", "«a»"),
        (" |> y <|\n", " «|>» y «<|»\n"),
        ("\ufdd0<|a|>\ufdd1", "\ufffd«<|a|>»\ufffd"),
        (r"\ufdd0", "\ufffd"),
    ],
)
def test_marks_are_set_where_they_are_needed_alone(text: str, expected: str) -> None:
    marked = Escaping(["<|a|>", ""]).escape(text)
    assert marked.replace("\ufdd0", "«").replace("\ufdd1", "»") == expected


def test_without_control_tokens_nothing_is_marked() -> None:
    escaping = Escaping([])
    assert escaping.escape("<|a|>") == "<|a|>"
    assert list(escaping.parts("<|a|>")) == [("<|a|>", True)]


def test_control_tokens_of_the_template_may_be_read() -> None:
    escaping = Escaping(["<|a|>"])
    parts = list(escaping.parts(f"<|a|>{escaping.escape('1<|a|>2')}<|a|>"))
    assert parts == [("<|a|>1", True), ("<|a|>", False), ("2<|a|>", True)]


def test_escaped_marks_count_too() -> None:
    escaping = Escaping(["<|a|>"])
    assert list(escaping.parts(repr([escaping.escape("<|a|>")]))) == [("['", True), ("<|a|>", False), ("']", True)]


@settings(deadline=None, max_examples=examples(500))
@given(st.lists(st.tuples(letters, st.booleans()), max_size=6))
def test_parts_that_may_be_read_have_no_control_token_of_the_texts(pieces: list[tuple[str, bool]]) -> None:
    escaping = Escaping(CONTROLS)
    parts = list(escaping.parts("".join(escaping.escape(text) if escaped else text for text, escaped in pieces)))
    rendered = "".join(text for text, _ in pieces)
    assert "".join(text for text, _ in parts) == rendered
    foreign = [escaped for text, escaped in pieces for _ in text]
    position = 0
    for text, may_be_read in parts:
        assert text
        for control in CONTROLS if may_be_read else []:
            for start in range(len(text)):
                if text.startswith(control, start):
                    assert not any(foreign[position + start : position + start + len(control)])
        position += len(text)
