"""Answer reader: every answer that a grammar allows, in any pieces."""

import json
import re
from dataclasses import replace
from typing import Any

import hypothesis
import pytest
from hypothesis import example, settings
from hypothesis import strategies as st

from ponant.completion.parts import Arguments, CallBegun, Part, Text, Thought
from ponant.completion.reader import AnswerReader
from ponant.prompts.answer.output_format import PLAIN, OutputFormat, Thinking
from ponant.prompts.tools.call_formats import BARE, ArgumentCalls
from tests.completion.reading import CALL, FUNCTIONS, Answer, Pieces, answer, cut, pieces_of, read, reading_of
from tests.prompts.styles import (
    FENCED,
    MARKS,
    NATIVE,
    STYLES,
    TAGS,
    TOLD,
    UNTAGGED,
    Style,
    each_style,
    grammar_of,
    matcher,
    with_trigger,
)
from tests.soak import examples

# Fixed answers


@each_style
@pytest.mark.parametrize(
    "before", ["", "Wait.", "Wait.\n\n", "\n", '{"name": "weather"}', "a { b [ c", "<tool", "[TOOL_"]
)
def test_text_and_calls(style: Style, before: str) -> None:
    if style.form == BARE and before.strip():
        return
    reading = reading_of(style)
    calls = [CALL, ("clock", "{}"), ("weather-in", '{"places": [{"name": "\\n", "unit": "c"}]}')]
    for number in (1, 2, 3):
        made = read(reading, pieces_of(before + style.calls(*calls[:number]), reading))
        assert answer(made) == Answer("", before.rstrip(), calls[:number])


@each_style
@pytest.mark.parametrize("text", UNTAGGED + FENCED)
def test_calls_without_their_tags(style: Style, text: str) -> None:
    reading = reading_of(style)
    items = json.loads(re.sub("```[a-zA-Z_]*", "", text))
    expected = [
        (call["name"], call.get("arguments", call.get("parameters")))
        for call in (items if isinstance(items, list) else [items])
    ]
    parts = read(reading, [(text, False)])
    made = answer(parts)
    assert (made.text, [(name, json.loads(given)) for name, given in made.calls]) == ("", expected)
    for place in range(len(text) + 1):
        assert read(reading, cut([(text, False)], [place])) == parts
    assert read(reading, cut([(text, False)], range(len(text)))) == parts


@each_style
@pytest.mark.parametrize("text", UNTAGGED + FENCED)
def test_calls_without_their_tags_may_be_cut_anywhere(style: Style, text: str) -> None:
    """A call that is cut before it is recognized is text; the marks around recognized calls are not."""
    reading = reading_of(style)
    whole = answer(read(reading, [(text, False)]))
    for end in range(len(text)):
        part = answer(read(reading, cut([(text[:end], False)], range(end))))
        if part.calls:
            assert part.text == ""
            assert [name for name, _ in part.calls] == [name for name, _ in whole.calls][: len(part.calls)]
        else:
            assert part.text == text[:end]


TEXTS = [
    "Hello",
    " Hello ",
    "\n\n",
    " ",
    "é漢😀",
    "{",
    "[{",
    '{"name"',
    '{"name": "weather"',
    '{"name": "weather"}',
    '{"name": "unknown", "arguments": {}}',
    '[{"name": "unknown", "arguments": {}}]',
    '{"name": "weather-", "parameters": {"a": 1}} and more',
    '{"name": "weather.today", "arguments": {}}',
    '{"name": "' + "w" * 65,
    'Like {"name": "weather", "arguments": {}}',
    "a\n" * 50,
    "<tool_cal",
    "[TOOL_CALLS",
    "<think>",
    "Well <think>a</think>",
    "1 < 2",
    "[",
    "``",
    "```",
    "```json\n",
    "```json\n{}\n```",
    '```json\n{"name": "Ada", "age": 36}\n```',
    '```json\n[{"name": "unknown", "arguments": {}}]\n```',
    '```json\n{"name": "weather", "age": 1}\n```',
    "```python\nprint(1)\n```\nprints 1",
    'See\n```json\n{"name": "weather", "arguments": {}}\n```',
    '`{"name": "weather", "arguments": {}}`',
    '````json\n{"name": "weather", "arguments": {}}',
]


@each_style
def test_text_without_calls_is_left_as_it_is(style: Style) -> None:
    reading = reading_of(style)
    for text in TEXTS:
        assert read(reading, [(text, False)]) == [Text(text)]
        assert read(reading, cut([(text, False)], range(len(text)))) == [Text(text)]


@pytest.mark.parametrize("name", ["tagged, control tokens", "listed, a control token", "named"])
@pytest.mark.parametrize("before", ["", "See "])
@pytest.mark.parametrize("after", ["", " and so on", '\n{"name": "weather", "arguments": {}}'])
def test_what_is_a_control_token_is_text_where_it_is_spelled(name: str, before: str, after: str) -> None:
    style = STYLES[name]
    text = before + style.form.trigger + after
    assert read(reading_of(style), [(text, False)]) == [Text(text)]


@pytest.mark.parametrize("spaces", [1, 8, 9, 16, 17])
def test_white_space_before_a_call_is_as_much_as_the_grammar_allows(spaces: int) -> None:
    style = STYLES["tagged"]
    text = " " * spaces + '{"name": "clock", "arguments": {}}'
    whole = matcher(grammar_of(style, functions=FUNCTIONS)).try_consume_tokens(list(text.encode())) == len(text)
    made = answer(read(reading_of(style), [(text, False)]))
    if whole and spaces <= 8:
        assert made == Answer("", "", [("clock", "{}")])
    else:
        assert made == Answer("", text, [])


def test_plain_reading_is_of_text() -> None:
    text = f"<think>a</think> {STYLES['tagged'].call()} \n"
    assert read(PLAIN, cut([(text, False)], range(9, 60, 7))) == [Text(text)]
    assert read(PLAIN, [("a", False), ("[ARGS]", True), ("b", False)]) == [Text("ab")]


@pytest.mark.parametrize("thinking", [TAGS, MARKS, TOLD["told"][0]])
@pytest.mark.parametrize("with_controls", [True, False])
@pytest.mark.parametrize(
    ("written", "thought", "text"),
    [
        ("{a}b", "a", "b"),
        ("{\na\n}\n\nb\n", "a", "b\n"),
        ("{a\n\nb \n c}d", "a\n\nb \n c", "d"),
        ("\n {a}b", "a", "b"),
        ("{}b", "", "b"),
        ("{\n\n}\n\nb", "", "b"),
        ("{a", "a", ""),
        ("{a}", "a", ""),
        ("{a}\n\n", "a", ""),
        ("b", "", "b"),
        ("b{a}", "", None),
        (" b", "", " b"),
        ("{a}b{c}d", "a", None),
        ("", "", ""),
    ],
)
def test_thinking_and_text_come_apart(
    thinking: Thinking, with_controls: bool, written: str, thought: str, text: str | None
) -> None:
    controls = {259: thinking.open, 260: thinking.close} if with_controls else {}
    reading = OutputFormat(thinking=thinking, controls=controls)
    whole = written.replace("{", thinking.open).replace("}", thinking.close)
    pieces = pieces_of(whole, reading)
    made = answer(read(reading, pieces))
    assert made.thought == thought
    if text is not None:
        assert made.text == text
    assert answer(read(reading, cut(pieces, range(len(whole))))) == made


@pytest.mark.parametrize("thinking", [replace(TAGS, begun=True), replace(MARKS, begun=True)])
@pytest.mark.parametrize(
    ("written", "thought", "text"),
    [
        ("a}b", "a", "b"),
        ("\na\n}\n\nb", "a", "b"),
        ("}b", "", "b"),
        ("a", "a", ""),
        ("a {b} c", "a {b", "c"),
        ("", "", ""),
    ],
)
def test_thinking_that_the_prompt_began(thinking: Thinking, written: str, thought: str, text: str) -> None:
    whole = written.replace("{", thinking.open).replace("}", thinking.close)
    made = answer(read(OutputFormat(thinking=thinking), [(whole, False)]))
    assert made == Answer(thought.replace("{", thinking.open), text, [])


@pytest.mark.parametrize("kind", [*NATIVE, *TOLD])
@each_style
def test_calls_come_after_thinking(style: Style, kind: str) -> None:
    thinking, controls = (NATIVE | TOLD)[kind]
    reading = reading_of(style, thinking, controls)
    begin = "" if thinking.begun else thinking.open
    text = "" if style.form == BARE else "Wait."
    for blank in ("", "\n\n"):
        for said in dict.fromkeys(["", text]):
            written = f"{begin}{blank}hm{blank}{thinking.close}{blank}{said}{style.calls(CALL, ('clock', '{}'))}"
            made = answer(read(reading, pieces_of(written, reading)))
            assert made == Answer("hm", said, [CALL, ("clock", "{}")])
            if not thinking.begun:
                made = answer(read(reading, pieces_of(blank + said + style.call("clock"), reading)))
                assert made == Answer("", (blank + said).rstrip(), [("clock", "{}")])


# Random text in random pieces


def fragments(style: Style) -> list[str]:
    form = style.form
    ends = [form.before_arguments] if isinstance(form, ArgumentCalls) else [form.open, form.between, form.close]
    marks = [form.trigger, *ends, "<think>", "</think>", "[THINK]", "[/THINK]"]
    return [
        *filter(None, marks),
        *(mark[: len(mark) // 2] for mark in marks if mark),
        *("Hello", " ", "\n", "é漢😀", '"', "{", "}", "[", "]", ",", "weather", '"name"', ": ", "\\"),
        *('{"name": "weather", "arguments": ', '{"name": "unknown", "parameters": ', '{"city": "P}"}'),
        *(style.call(), *UNTAGGED, *FENCED, "```", "```json\n"),
    ]


@st.composite
def any_answers(draw: st.DrawFn) -> tuple[OutputFormat, Pieces]:
    style = draw(st.sampled_from(list(STYLES.values())))
    kinds: dict[str, tuple[Thinking, dict[str, int]]] = NATIVE | TOLD
    kind = draw(st.none() | st.sampled_from(list(kinds)))
    thinking, controls = kinds[kind] if kind else (None, {})
    reading = reading_of(style, thinking, controls)
    written = "".join(draw(st.lists(st.sampled_from(fragments(style)), max_size=8)))
    return reading, pieces_of(written, reading)


@settings(deadline=None, max_examples=examples(300), derandomize=True)
@hypothesis.given(any_answers(), st.lists(st.integers(0, 120), max_size=12))
def test_parts_are_the_same_however_the_text_is_cut(made: tuple[OutputFormat, Pieces], at: list[int]) -> None:
    reading, pieces = made
    parts = read(reading, pieces)
    assert read(reading, cut(pieces, at)) == parts
    assert read(reading, cut(pieces, range(sum(len(text) for text, _ in pieces)))) == parts


@settings(deadline=None, max_examples=examples(150), derandomize=True)
@hypothesis.given(any_answers())
def test_text_is_neither_lost_nor_changed_where_there_is_no_call(made: tuple[OutputFormat, Pieces]) -> None:
    reading, pieces = made
    parts = read(replace(reading, thinking=None), pieces)
    if any(control for _, control in pieces) or any(isinstance(part, CallBegun) for part in parts):
        return
    text = "".join(text for text, _ in pieces)
    if reading.calls and reading.calls.trigger and reading.calls.trigger in text:
        return  # a call that was cut before its name, or one that no grammar allows
    assert parts == ([Text(text)] if text else [])


# One call at a time


@with_trigger
def test_call_begins_before_its_arguments_are_there(style: Style) -> None:
    reading = reading_of(style)
    reader = AnswerReader(reading)
    seen: list[tuple[str, list[Part]]] = []
    for text, control in cut(pieces_of(style.calls(CALL), reading), range(200)):
        seen.append((text, reader.push(text, control=control)))
    parts = [part for _, found in seen for part in found]
    assert parts[0] == CallBegun(0, "weather")
    assert all(isinstance(part, Arguments) and len(part.text) == 1 for part in parts[1:])
    assert "".join(part.text for part in parts if isinstance(part, Arguments)) == CALL[1]
    assert reader.finish() == []


def test_text_is_held_back_no_longer_than_it_may_become_a_call() -> None:
    reader = AnswerReader(reading_of(STYLES["tagged"]))
    assert reader.push("Hello") == [Text("Hello")]
    assert reader.push("<") == []
    assert reader.push("b>") == [Text("<b>")]
    assert reader.push("{") == [Text("{")]
    assert reader.push('"name": "weather",') != []
    assert reader.push("<tool_") == []
    assert reader.finish() == [Text("<tool_")]
    untagged = AnswerReader(reading_of(STYLES["tagged"]))
    assert untagged.push('{"name": "weather", ') == []
    assert untagged.push('"args": 1') == [Text('{"name": "weather", "args": 1')]


@pytest.mark.parametrize("kind", ["native", "native, begun", "told"])
def test_thoughts_are_shown_as_they_come(kind: str) -> None:
    thinking = (NATIVE | TOLD)[kind][0]
    reader = AnswerReader(OutputFormat(thinking=thinking))
    if not thinking.begun:
        assert reader.push("<thi") == []
        assert reader.push("nk>") == []
    assert reader.push("\nWell") == [Thought("Well")]
    assert reader.push(", a <") == [Thought(", a")]
    assert reader.push(" b") == [Thought(" < b")]
    assert reader.push("\n</thi") == []
    assert reader.push("nk>\n") == []
    assert reader.push("\nSo") == [Text("So")]
    assert reader.push(" ") == [Text(" ")]
    assert reader.finish() == []


@pytest.mark.parametrize("written", ["<think>\n", "<think> a \n", "<think>a\n\n"])
def test_thoughts_that_were_cut_have_no_white_space_around_them(written: str) -> None:
    made = answer(read(OutputFormat(thinking=TAGS), [(written, False)]))
    assert made == Answer(written.removeprefix("<think>").strip(), "", [])


@pytest.mark.parametrize("depth", [1, 50, 2000])
def test_arguments_of_any_depth_are_read(depth: int) -> None:
    given = '{"a": ' * depth + '"}"' + "}" * depth
    reading = reading_of(STYLES["tagged"])
    made = answer(read(reading, [(STYLES["tagged"].calls(("weather", given), CALL), False)]))
    assert made.calls == [("weather", given), CALL]


@settings(deadline=None, max_examples=examples(60), derandomize=True)
@hypothesis.given(
    st.dictionaries(st.text(max_size=5), st.recursive(st.text(max_size=5) | st.none(), st.lists, max_leaves=4))
)
@example({"a": "}]"})
@example({'"': "\\"})
@example({"</tool_call>": '<tool_call>\n{"name": "clock", "arguments": {}}'})
def test_arguments_are_read_to_their_end(arguments: dict[str, Any]) -> None:
    given = json.dumps(arguments, ensure_ascii=False)
    for style in STYLES.values():
        if isinstance(style.form, ArgumentCalls):
            continue
        reading = replace(reading_of(style), controls={})
        written = style.calls(("weather", given), ("clock", "{}"))
        assert answer(read(reading, [(written, False)])).calls == [("weather", given), ("clock", "{}")]
