"""Answers drawn from the grammars are read correctly."""

import functools
import itertools
import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from ponant.api.chat import Function
from ponant.prompts.answer.output_format import OutputFormat, Thinking
from ponant.prompts.answer.spec import Calls
from ponant.prompts.tools.call_formats import ArgumentCalls, arguments_schema
from tests.completion.reading import FUNCTIONS, NAMES, Answer, Pieces, answer, cut, read, reading_of
from tests.prompts.styles import (
    END,
    NATIVE,
    STYLES,
    TOLD,
    Style,
    grammar_of,
    matcher,
)

# Random walks through the grammar


def walk(grammar: str, begin: Sequence[int], draw: random.Random, most: int = 250) -> tuple[list[int], bool]:
    """Draw tokens that a grammar allows; also return True if the grammar accepts them as complete."""
    at = matcher(grammar)
    tokens = list(begin)
    if at.try_consume_tokens(tokens) < len(tokens):
        return [], False  # tests of the grammars cover the rejection
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
    """Answer drawn from a grammar."""

    style: Style
    calls: Calls
    reading: OutputFormat
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
    """Return beginnings that lead to calls, which random walks hardly ever reach."""
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
    """Return the thoughts of a whole answer and the pieces after them."""
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
    """Return text and calls of a whole answer, found by a method other than the reader's."""
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
            else:  # no text is lost before it is recognized as a call
                is_mark = thinking is not None and thinking.open.startswith(written.lstrip()) and part.text == written
                assert is_mark or whole.text.startswith(part.text) or text_after_thinking.startswith(part.text)
            if thinking is None and not whole.calls:
                assert part.text == written


def up_to(pieces: Iterable[tuple[str, bool]], end: int) -> tuple[Pieces, str]:
    """Return the beginning of an answer; control tokens are kept or dropped as a whole."""
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
    """Assert that a thought is a prefix of the whole one, possibly followed by a prefix of its closing mark."""
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
