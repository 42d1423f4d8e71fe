"""Grammars of answers with thinking, checked byte by byte."""

import re
from dataclasses import replace

import pytest

from ponant.prompts.answer.spec import Calls
from ponant.prompts.tools.call_formats import TAGGED
from tests.prompts.styles import (
    BYTES,
    DOCUMENT,
    NATIVE,
    STYLES,
    THINK,
    TOLD,
    UNTAGGED,
    Style,
    auto_or_required,
    each_style,
    follow,
    grammar_of,
    matcher,
    thought,
)


@each_style
@pytest.mark.parametrize("kind", [*NATIVE, *TOLD])
def test_answer_comes_after_thinking(style: Style, kind: str) -> None:
    thinking, controls = (NATIVE | TOLD)[kind]
    tokens = Style(style.form, style.controls | controls).tokens
    before = tokens(thought(thinking, "Well, é."))
    auto = grammar_of(style, thinking=thinking, controls=controls)
    required = grammar_of(style, "required", thinking=thinking, controls=controls)
    document = grammar_of(style, "none", schema=DOCUMENT, thinking=thinking, controls=controls)
    call = style.tokens(style.call())
    assert follow(auto, [*before, *b"Hello"]) == "whole"
    assert follow(auto, [*before, *call]) == "whole"
    assert follow(auto, [*before, *UNTAGGED[0].encode()]) == "whole"
    assert follow(required, [*before, *call]) == "whole"
    assert follow(required, [*before, *b"Hello"]) == "refused"
    assert follow(required, [*before, *call, *b"Hello"]) == "refused"
    assert follow(document, [*before, *b'{"a": 1}']) == "whole"
    assert follow(document, [*before, *b'{"b": 1}']) == "refused"


@pytest.mark.parametrize("kind", [*NATIVE, *TOLD])
def test_call_must_be_one_after_thinking_too(kind: str) -> None:
    thinking, controls = (NATIVE | TOLD)[kind]
    for style in STYLES.values():
        before = Style(style.form, style.controls | controls).tokens(thought(thinking, "Well."))
        for text in (
            '{"name": "weather", "arguments": {"town"',
            '{"name": "weather", "age"',
            '{"name": "clock", "arguments": {}} and',
        ):
            grammar = grammar_of(style, thinking=thinking, controls=controls)
            assert follow(grammar, [*before, *text.encode()]) == "refused", (style, text)


@pytest.mark.parametrize("kind", [*NATIVE, *TOLD])
@pytest.mark.parametrize("style", [STYLES["tagged"], STYLES["listed"], STYLES["bare"]])
def test_thoughts_may_be_about_calls(style: Style, kind: str) -> None:
    thinking, controls = (NATIVE | TOLD)[kind]
    for text in ("Use <tool_call> or [TOOL_CALLS].", '{"name": "weather", "age": 1}', '{"name": "clock", '):
        tokens = Style(style.form, controls).tokens(thought(thinking, text))
        grammar = grammar_of(style, thinking=thinking, controls=controls)
        assert follow(grammar, [*tokens, *b"Hello"]) == "whole", text


@pytest.mark.parametrize("kind", [*NATIVE, *TOLD])
@pytest.mark.parametrize("blank", ["\n\n", "\r\n\t "])
def test_white_space_may_stand_between_thinking_and_answer(kind: str, blank: str) -> None:
    """Native thinking does not depend on the format of the answer."""
    thinking, controls = (NATIVE | TOLD)[kind]
    if not thinking.native and not controls:
        return  # the begun part
    style = STYLES["tagged"]
    before = Style(style.form, controls).tokens(thought(thinking, "Well."))
    wanted: list[tuple[Calls, str]] = [
        ("auto", "Hello"),
        ("auto", style.call()),
        ("required", style.call()),
        ("none", '{"a": 1}'),
    ]
    for calls, answer in wanted:
        schema = DOCUMENT if calls == "none" else None
        grammar = grammar_of(style, calls, schema=schema, thinking=thinking, controls=controls)
        assert follow(grammar, [*before, *blank.encode(), *answer.encode()]) == "whole"


@pytest.mark.parametrize("kind", [kind for kind in NATIVE if "begun" not in kind])
@each_style
def test_models_that_think_by_themselves_need_not(style: Style, kind: str) -> None:
    thinking, controls = NATIVE[kind]
    call = style.tokens(style.call())
    assert follow(grammar_of(style, thinking=thinking, controls=controls), list(b"Hello")) == "whole"
    assert follow(grammar_of(style, thinking=thinking, controls=controls), call) == "whole"
    assert follow(grammar_of(style, "required", thinking=thinking, controls=controls), call) == "whole"
    document = grammar_of(style, "none", schema=DOCUMENT, thinking=thinking, controls=controls)
    assert follow(document, list(b'{"a": 1}')) == "whole"


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("calls", ["none", "auto", "required"])
def test_models_that_are_told_to_think_must(kind: str, calls: Calls) -> None:
    thinking, controls = TOLD[kind]
    style = STYLES["tagged"]
    grammar = grammar_of(style, calls, thinking=thinking, controls=controls)
    begin = Style(style.form, controls).tokens("" if thinking.begun else thinking.open)
    assert follow(grammar, begin) == "beginning"
    if begin:
        assert [token for token in range(BYTES.vocab_size) if matcher(grammar).compute_logit_bias()[token]] == begin[:1]


@pytest.mark.parametrize("kind", TOLD)
def test_text_after_thoughts_that_were_told_is_not_empty(kind: str) -> None:
    thinking, controls = TOLD[kind]
    grammar = grammar_of(STYLES["tagged"], "none", thinking=thinking, controls=controls)
    before = Style(TAGGED, controls).tokens(thought(thinking, "Well."))
    assert follow(grammar, before) == "beginning"
    assert follow(grammar, [*before, *"Hello\n\né".encode()]) == "whole"


@pytest.mark.parametrize("begun", [True, False])
def test_told_thoughts_are_lines(begun: bool) -> None:
    grammar = grammar_of(STYLES["tagged"], "none", thinking=replace(TOLD["told"][0], begun=begun))
    for text in ("Well.", "  Two\nlines", "A\n\nparagraph", "a < b </ c </thin", "<think>", "é漢😀"):
        written = ("\n" if begun else "<think>\n") + f"{text}\n</think>\n\nHello"
        assert follow(grammar, list(written.encode())) == "whole", text
    for blank in ("", " ", "\n", " \nWell."):
        written = ("\n" if begun else "<think>\n") + f"{blank}\n</think>\n\nHello"
        assert follow(grammar, list(written.encode())) == "refused", blank


def test_told_thoughts_end_with_a_line_of_their_own() -> None:
    grammar = grammar_of(STYLES["tagged"], "required", thinking=TOLD["told"][0])
    for text in ("Well.</think>", "</think>\nHello", "\n</think> Hello", "</think></think>", "a\n</think>\n\n</think>"):
        assert follow(grammar, list(f"<think>\n{text}".encode())) == "refused", text


@pytest.mark.parametrize("kind", [*TOLD, "native, control tokens", "native, control tokens, begun"])
@pytest.mark.parametrize("most", [1, 80, 100])
@auto_or_required
def test_thinking_is_brought_to_an_end(kind: str, most: int, calls: Calls) -> None:
    """Thinking is limited for models that would never end it."""
    thinking, controls = (NATIVE | TOLD)[kind]
    style = Style(TAGGED, controls)
    grammar = grammar_of(style, calls, thinking=thinking, controls=controls, most_thinking=most)
    for filler in (b"a", b"a\n", b"\n"):
        begun = matcher(grammar)
        for token in style.tokens("" if thinking.begun else thinking.open):
            begun.consume_token(token)
        written = ""
        count = 0
        while not re.search(re.escape(thinking.close), written):
            mask = begun.compute_logit_bias()
            wanted = [token for token in (filler[count % len(filler)], *filler) if mask[token]]
            token = wanted[0] if wanted else next(token for token in range(len(mask)) if mask[token])
            assert begun.consume_token(token)
            written += thinking.close if token == THINK["[/THINK]"] else bytes([token]).decode()
            count += 1
            assert count <= most + 80 + 20, written
