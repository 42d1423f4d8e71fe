"""Answers read back: whatever the grammar lets a model write, and however it is cut into pieces."""

import functools
import itertools
import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import hypothesis
import pytest
from hypothesis import example, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ponant.api.chat import Function
from ponant.completion.parts import Arguments, CallBegun, Part, Text, Thought
from ponant.completion.reader import AnswerReader
from ponant.prompts.answers import Calls
from ponant.prompts.calls import BARE, ArgumentCalls, arguments_schema
from ponant.prompts.reading import PLAIN, Reading, Thinking
from tests.prompts.test_grammar import (
    END,
    FENCED,
    MARKS,
    NATIVE,
    STYLES,
    TAGS,
    TOLD,
    UNTAGGED,
    Style,
    each_style,
    function,
    grammar_of,
    matcher,
    with_trigger,
)

Pieces = list[tuple[str, bool]]
"""Texts, and names of control tokens with True."""

OBJECTS: dict[str, dict[str, Any]] = {
    "weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "weather-in": {
        "type": "object",
        "properties": {
            "places": {
                "type": "array",
                "minItems": 1,
                "maxItems": 2,
                "items": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "unit": {"enum": ["c", 'f"}', "}]{["]}},
                    "required": ["name", "unit"],
                    "additionalProperties": False,
                },
            },
            "is_exact": {"type": "boolean"},
        },
        "required": ["places"],
        "additionalProperties": False,
    },
    "clock": {},
}
FUNCTIONS = tuple(function(name, parameters) for name, parameters in OBJECTS.items())
NAMES = frozenset(OBJECTS)
CALL = ("weather", '{"city": "a }{ \\"]\\" \\\\"}')


def reading_of(style: Style, thinking: Thinking | None = None, controls: dict[str, int] | None = None) -> Reading:
    """How answers in this style are read."""
    known = style.controls | (controls or {})
    marks = [*style.form.controls, *((thinking.open, thinking.close) if thinking else ())]
    return Reading(
        calls=style.form,
        functions=NAMES,
        thinking=thinking,
        controls={known[mark]: mark for mark in marks if mark in known},
    )


def pieces_of(text: str, reading: Reading) -> Pieces:
    """A text in which there are control tokens."""
    marks = list(reading.controls.values())
    parts = re.split(f"({'|'.join(map(re.escape, marks))})", text) if marks else [text]
    return [(part, part in marks) for part in parts if part]


def cut(pieces: Pieces, at: Iterable[int]) -> Pieces:
    """The pieces with their texts cut into smaller ones, some of them empty."""
    places = sorted(at)
    smaller: Pieces = []
    position = 0
    for text, control in pieces:
        if control:
            smaller.append((text, True))
            continue
        within = [place - position for place in places if 0 <= place - position <= len(text)]
        smaller += [(text[start:end], False) for start, end in itertools.pairwise([0, *within, len(text)])]
        position += len(text)
    return smaller


def read(reading: Reading, pieces: Pieces) -> list[Part]:
    """The parts of an answer, neighbours of one kind joined."""
    reader = AnswerReader(reading)
    parts = [part for text, control in pieces for part in reader.push(text, control=control)]
    return joined(parts + reader.finish())


def joined(parts: Iterable[Part]) -> list[Part]:
    together: list[Part] = []
    for part in parts:
        last = together[-1] if together else None
        assert isinstance(part, CallBegun) or part.text
        if isinstance(part, Text) and isinstance(last, Text):
            together[-1] = Text(last.text + part.text)
        elif isinstance(part, Thought) and isinstance(last, Thought):
            together[-1] = Thought(last.text + part.text)
        elif isinstance(part, Arguments) and isinstance(last, Arguments) and part.index == last.index:
            together[-1] = Arguments(part.index, last.text + part.text)
        else:
            together.append(part)
    return together


@dataclass
class Answer:
    """What parts add up to."""

    thought: str
    text: str
    calls: list[tuple[str, str]]


def answer(parts: Sequence[Part]) -> Answer:
    """Thoughts come before text, and text before calls; these are numbered as they come.

    White space before calls does not count: see ``test_output``.
    """
    order = [{Thought: 0, Text: 1, CallBegun: 2, Arguments: 2}[type(part)] for part in parts]
    assert order == sorted(order), parts
    whole = Answer("", "", [])
    for part in parts:
        match part:
            case Thought(text):
                whole.thought += text
            case Text(text):
                whole.text += text
            case CallBegun(index, name):
                assert index == len(whole.calls)
                whole.calls.append((name, ""))
            case Arguments(index, text):
                assert index == len(whole.calls) - 1
                name, before = whole.calls[index]
                whole.calls[index] = (name, before + text)
    whole.text = whole.text.rstrip() if whole.calls else whole.text
    return whole


# Answers written down


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
    """What was written before it is known that it is a call is text; nothing of what stands around calls is."""
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
    reading = Reading(thinking=thinking, controls=controls)
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
    made = answer(read(Reading(thinking=thinking), [(whole, False)]))
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


# Any text in any pieces


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
def any_answers(draw: st.DrawFn) -> tuple[Reading, Pieces]:
    style = draw(st.sampled_from(list(STYLES.values())))
    kinds: dict[str, tuple[Thinking, dict[str, int]]] = NATIVE | TOLD
    kind = draw(st.none() | st.sampled_from(list(kinds)))
    thinking, controls = kinds[kind] if kind else (None, {})
    reading = reading_of(style, thinking, controls)
    written = "".join(draw(st.lists(st.sampled_from(fragments(style)), max_size=8)))
    return reading, pieces_of(written, reading)


@settings(deadline=None, max_examples=300, derandomize=True)
@hypothesis.given(any_answers(), st.lists(st.integers(0, 120), max_size=12))
def test_parts_are_the_same_however_the_text_is_cut(made: tuple[Reading, Pieces], at: list[int]) -> None:
    reading, pieces = made
    parts = read(reading, pieces)
    assert read(reading, cut(pieces, at)) == parts
    assert read(reading, cut(pieces, range(sum(len(text) for text, _ in pieces)))) == parts


@settings(deadline=None, max_examples=150, derandomize=True)
@hypothesis.given(any_answers())
def test_text_is_neither_lost_nor_changed_where_there_is_no_call(made: tuple[Reading, Pieces]) -> None:
    reading, pieces = made
    parts = read(replace(reading, thinking=None), pieces)
    if any(control for _, control in pieces) or any(isinstance(part, CallBegun) for part in parts):
        return
    text = "".join(text for text, _ in pieces)
    if reading.calls and reading.calls.trigger and reading.calls.trigger in text:
        return  # a call that was cut before its name, or one that no grammar lets a model write
    assert parts == ([Text(text)] if text else [])


# Random walks through the grammar


def walk(grammar: str, begin: Sequence[int], draw: random.Random, most: int = 250) -> tuple[list[int], bool]:
    """Tokens that a grammar allows, and whether it was followed to an end."""
    at = matcher(grammar)
    tokens = list(begin)
    if at.try_consume_tokens(tokens) < len(tokens):
        return [], False  # whether it should be allowed is shown with the grammars
    while len(tokens) < most and not at.is_stopped():
        mask = at.compute_logit_bias()
        allowed = [token for token, is_allowed in enumerate(mask) if is_allowed]
        if END in allowed and (allowed == [END] or draw.random() < 0.2):
            return tokens, True
        choices = [token for token in allowed if token != END]
        closing = [token for token in choices if token > 255 or token in b'"}]<']
        token = draw.choice(closing if closing and draw.random() < 0.3 else choices)
        assert at.consume_token(token)
        tokens.append(token)
    return tokens, at.is_accepting()


@dataclass(frozen=True)
class Walk:
    """An answer that was drawn from a grammar."""

    style: Style
    calls: Calls
    reading: Reading
    pieces: tuple[tuple[str, bool], ...]
    is_whole: bool


@functools.cache
def walks() -> list[Walk]:
    draw = random.Random(7)
    made: list[Walk] = []
    kinds: dict[str, tuple[Thinking | None, dict[str, int]]] = {"none": (None, {}), **NATIVE, **TOLD}
    for style, (thinking, controls) in itertools.product(STYLES.values(), kinds.values()):
        reading = reading_of(style, thinking, controls)
        names = {token: mark for mark, token in (style.controls | controls).items()}
        marked = Style(style.form, style.controls | controls)
        for calls, parallel in itertools.product(AUTO_OR_REQUIRED, (True,) if thinking else (True, False)):
            grammar = grammar_of(
                style,
                calls,
                functions=FUNCTIONS,
                parallel=parallel,
                thinking=thinking,
                controls=controls,
                most_thinking=40,
            )
            for begin in beginnings(style, calls, thinking):
                tokens, is_whole = walk(grammar, marked.tokens(begin), draw)
                made.append(Walk(style, calls, reading, tuple(as_pieces(tokens, names)), is_whole))
    return made


AUTO_OR_REQUIRED: tuple[Calls, ...] = ("auto", "required")


def beginnings(style: Style, calls: Calls, thinking: Thinking | None) -> list[str]:
    """How to begin so that there are calls, which are hard to find by chance."""
    thought = ""
    if thinking:
        blank = "" if thinking.native or thinking.open == "[THINK]" else "\n"
        thought = f"{'' if thinking.begun else thinking.open}{blank}hm{blank}{thinking.close}{blank}{blank}"
    if calls == "required":
        return ["", thought, thought + style.form.trigger]
    untagged = [
        '{"name": "weather"',
        '[{"name": "weather-in", ',
        '{\n"name" : "clock",',
        '```json\n[{"name": "clock", ',
    ]
    return ["", thought, f"{thought}Hello <", *(thought + text for text in (style.form.trigger, *untagged))]


def as_pieces(tokens: list[int], names: dict[int, str]) -> Pieces:
    pieces: Pieces = []
    for is_text, group in itertools.groupby(tokens, lambda token: token < 256):
        if is_text:
            pieces.append((bytes(group).decode("utf-8", "ignore"), False))
        else:
            pieces += [(names[token], True) for token in group]
    return pieces


def test_enough_answers_of_all_kinds_are_whole() -> None:
    whole = [made for made in walks() if made.is_whole]
    assert len(whole) > len(walks()) // 2
    for style in STYLES.values():
        answers = [answer(read(made.reading, list(made.pieces))) for made in whole if made.style == style]
        assert sum(len(made.calls) for made in answers) > 30
        assert sum(len(made.calls) > 1 for made in answers) > 2
        assert sum(not made.calls for made in answers) > 10
        assert {name for made in answers for name, _ in made.calls} == NAMES


def without_thinking(made: Walk) -> tuple[str, Pieces]:
    """The thoughts of a whole answer, and the pieces after them."""
    thinking = made.reading.thinking
    pieces = list(made.pieces)
    text = "".join(text for text, _ in pieces)
    if thinking is None or not (thinking.begun or text.lstrip().startswith(thinking.open)):
        return "", pieces
    before, mark, after = text.partition(thinking.close)
    assert mark
    thought = before if thinking.begun else before.lstrip().removeprefix(thinking.open)
    rest = cut_off(pieces, len(before) + len(mark))
    assert "".join(text for text, _ in rest) == after
    if rest and not rest[0][1]:
        rest[0] = (rest[0][0].lstrip(), False)
    return thought.strip(), [piece for piece in rest if piece[0]]


def cut_off(pieces: Pieces, length: int) -> Pieces:
    rest: Pieces = []
    for text, control in pieces:
        rest += [(text[length:], control)] if length < len(text) else []
        length = max(0, length - len(text))
    return rest


def written_calls(style: Style, pieces: Pieces) -> tuple[str, list[tuple[str, Any]]]:
    """Text and calls of a whole answer, found in another way than the reader's."""
    text = "".join(text for text, _ in pieces)
    trigger = style.form.trigger
    is_token = trigger in style.controls
    begins = (trigger, True) in pieces if is_token else bool(trigger) and trigger in text
    if begins:
        position = pieces.index((trigger, True)) if is_token else 0
        before = "".join(text for text, _ in pieces[:position]) if is_token else text.partition(trigger)[0]
        if isinstance(style.form, ArgumentCalls):
            found = []
            for call in "".join(text for text, _ in pieces[position + 1 :]).split(trigger):
                head, _, arguments = call.partition("[ARGS]")
                found.append((head.partition("[CALL_ID]")[0], json.loads(arguments)))
            return before.rstrip(), found
        return before.rstrip(), list(json_calls(text[len(before) + len(trigger) :]))
    fence = r"\s{0,8}(?:```[a-zA-Z_]{0,16}\s{0,8})?"
    key = r'\{\s*"name"\s*:\s*"([^"]*)"\s*,\s*"(?:arguments|parameters)"'
    untagged = re.match(rf"{fence}(?:\[\s{{0,8}})?{key}", text)
    if untagged and untagged[1] in NAMES:
        return "", list(json_calls(text))
    return text, []


def json_calls(text: str) -> Iterable[tuple[str, Any]]:
    position = text.find("{")
    while position >= 0:
        call, end = json.JSONDecoder().raw_decode(text, position)
        yield call["name"], call.get("arguments", call.get("parameters"))
        position = text.find("{", end)


def test_every_whole_answer_is_text_or_calls_that_satisfy_their_schemas() -> None:
    validators = {function.name: validator(function) for function in FUNCTIONS}
    for made in walks():
        if not made.is_whole:
            continue
        pieces = list(made.pieces)
        found = answer(read(made.reading, pieces))
        thought, rest = without_thinking(made)
        text, calls = written_calls(made.style, rest)
        assert (found.thought, found.text) == (thought, text), pieces
        assert [(name, json.loads(given)) for name, given in found.calls] == calls, pieces
        assert calls or made.calls == "auto"
        for name, given in calls:
            validators[name].validate(given)


def validator(function: Function) -> Draft202012Validator:
    return Draft202012Validator(arguments_schema(function))


def test_answers_are_read_the_same_in_any_pieces() -> None:
    draw = random.Random(8)
    for made in walks():
        pieces = list(made.pieces)
        length = sum(len(text) for text, _ in pieces)
        parts = read(made.reading, pieces)
        assert read(made.reading, cut(pieces, draw.choices(range(length + 1), k=length // 3))) == parts


def test_answers_that_were_cut_are_beginnings_of_whole_ones() -> None:
    draw = random.Random(9)
    for made in walks():
        if not made.is_whole:
            continue
        thinking = made.reading.thinking
        whole = answer(read(made.reading, list(made.pieces)))
        _, rest = without_thinking(made)
        text_after_thinking = "".join(text for text, _ in rest)
        length = sum(len(text) for text, _ in made.pieces)
        for end in draw.choices(range(length + 1), k=12):
            pieces, written = up_to(made.pieces, end)
            part = answer(read(made.reading, pieces))
            check_thought(part, whole, thinking, written)
            assert [name for name, _ in part.calls] == [name for name, _ in whole.calls][: len(part.calls)]
            for (_, given), (_, all_given) in zip(part.calls, whole.calls, strict=False):
                assert all_given.startswith(given)
            for (_, given), (_, all_given) in zip(part.calls[:-1], whole.calls, strict=False):
                assert all_given == given
            if part.calls:
                assert part.text == whole.text
            else:  # nothing is lost before it is known that it is a call
                is_mark = thinking is not None and thinking.open.startswith(written.lstrip()) and part.text == written
                assert is_mark or whole.text.startswith(part.text) or text_after_thinking.startswith(part.text)
            if thinking is None and not whole.calls:
                assert part.text == written


def up_to(pieces: Iterable[tuple[str, bool]], end: int) -> tuple[Pieces, str]:
    """The beginning of an answer: control tokens are whole or not there."""
    begun: Pieces = []
    for text, control in pieces:
        if len(text) <= end:
            begun.append((text, control))
        elif end > 0 and not control:
            begun.append((text[:end], False))
        end -= len(text)
        if end <= 0:
            break
    return begun, "".join(text for text, _ in begun)


def check_thought(part: Answer, whole: Answer, thinking: Thinking | None, written: str) -> None:
    """It is a beginning of the whole one; a piece of what ends it may follow, as it might have become anything."""
    if thinking is None:
        assert part.thought == ""
    elif not whole.thought.startswith(part.thought):
        ends = [
            thinking.close[:length]
            for length in range(1, len(thinking.close))
            if part.thought.endswith(thinking.close[:length])
        ]
        assert any(
            whole.thought.startswith(part.thought.removesuffix(end).rstrip()) and written.endswith(end) for end in ends
        ), part.thought


# One at a time


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
    reader = AnswerReader(Reading(thinking=thinking))
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
    made = answer(read(Reading(thinking=TAGS), [(written, False)]))
    assert made == Answer(written.removeprefix("<think>").strip(), "", [])


@pytest.mark.parametrize("depth", [1, 50, 2000])
def test_arguments_of_any_depth_are_read(depth: int) -> None:
    given = '{"a": ' * depth + '"}"' + "}" * depth
    reading = reading_of(STYLES["tagged"])
    made = answer(read(reading, [(STYLES["tagged"].calls(("weather", given), CALL), False)]))
    assert made.calls == [("weather", given), CALL]


@settings(deadline=None, max_examples=60, derandomize=True)
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
