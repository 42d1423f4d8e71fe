"""Answers and their parsed form, for tests."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ponant.completion.parts import Arguments, CallBegun, Part, Text, Thought
from ponant.completion.reader import AnswerReader
from ponant.prompts.answer.output_format import OutputFormat, Thinking
from tests.prompts.styles import (
    Style,
    function,
)

Pieces = list[tuple[str, bool]]
"""Texts, and control tokens by name, marked True."""

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


def reading_of(style: Style, thinking: Thinking | None = None, controls: dict[str, int] | None = None) -> OutputFormat:
    """Return the output format of answers in this style."""
    known = style.controls | (controls or {})
    marks = [*style.form.controls, *((thinking.open, thinking.close) if thinking else ())]
    return OutputFormat(
        calls=style.form,
        functions=NAMES,
        thinking=thinking,
        controls={known[mark]: mark for mark in marks if mark in known},
    )


def pieces_of(text: str, reading: OutputFormat) -> Pieces:
    """Split a text at its control tokens."""
    marks = list(reading.controls.values())
    parts = re.split(f"({'|'.join(map(re.escape, marks))})", text) if marks else [text]
    return [(part, part in marks) for part in parts if part]


def cut(pieces: Pieces, at: Iterable[int]) -> Pieces:
    """Return the pieces with their texts cut into smaller ones, some of them empty."""
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


def read(reading: OutputFormat, pieces: Pieces) -> list[Part]:
    """Return the parts of an answer, with adjacent parts of one kind joined."""
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
    """Answer joined from its parts."""

    thought: str
    text: str
    calls: list[tuple[str, str]]


def answer(parts: Sequence[Part]) -> Answer:
    """Join parts: thoughts come before text, text before calls, and calls are numbered in order.

    White space before calls is stripped: see ``test_output``.
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
