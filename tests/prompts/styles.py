"""Formats of calls and thinking, and grammars of answers, for tests."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from ponant.api.chat import Function
from ponant.prompts.answer.grammar import answer_grammar, terminal_writer
from ponant.prompts.answer.output_format import Thinking
from ponant.prompts.answer.spec import AnswerSpec, Calls
from ponant.prompts.tools.call_formats import BARE, LISTED, NAMED, TAGGED, ArgumentCalls, CallFormat

BYTES = LLTokenizer("byte")
"""Vocabulary of all bytes, followed by control tokens with arbitrary texts."""

END = BYTES.eos_token

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city"],
    "additionalProperties": False,
}
UNITS = {
    "type": "object",
    "properties": {"units": {"type": "array", "items": {"enum": ["c", "f/k"]}, "maxItems": 3}},
    "required": ["units"],
    "additionalProperties": False,
}
DOCUMENT = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


def function(name: str, parameters: Mapping[str, Any] = CITY) -> Function:
    return Function(name=name, parameters=dict(parameters))


FUNCTIONS = (function("weather"), function("weather-today"), function("weather-in", UNITS), function("clock", {}))
GOOD = {
    "weather": '{"city": "Paris"}',
    "weather-today": '{"city": "Paris", "days": 7}',
    "weather-in": '{"units": ["c", "f/k"]}',
    "clock": "{}",
}


@dataclass(frozen=True)
class Style:
    """Format of calls, with the ids of its control tokens in a vocabulary."""

    form: CallFormat
    controls: dict[str, int] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.form, tuple(self.controls)))

    def calls(self, *calls: tuple[str, str]) -> str:
        """Return calls of functions by name, with arguments as JSON."""
        if isinstance(self.form, ArgumentCalls):
            return "".join(f"{self.form.trigger}{name}{self.form.before_arguments}{given}" for name, given in calls)
        written = [f'{{"name": "{name}", "{self.form.arguments}": {given}}}' for name, given in calls]
        return self.form.trigger + self.form.open + self.form.between.join(written) + self.form.close

    def call(self, name: str = "weather", arguments: str | None = None) -> str:
        """Return a call of a function, with valid arguments by default."""
        return self.calls((name, GOOD.get(name, "{}") if arguments is None else arguments))

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of a text with control tokens."""
        marks = "|".join(map(re.escape, self.controls))
        parts = re.split(f"({marks})", text) if marks else [text]
        return [
            token for part in parts for token in ([self.controls[part]] if part in self.controls else part.encode())
        ]


STYLES = {
    "tagged": Style(TAGGED),
    "tagged, control tokens": Style(TAGGED, {"<tool_call>": 256, "</tool_call>": 257}),
    "listed": Style(LISTED),
    "listed, a control token": Style(LISTED, {"[TOOL_CALLS]": 256}),
    "listed after a space": Style(replace(LISTED, open=" ["), {"[TOOL_CALLS]": 256}),
    "bare": Style(BARE),
    "named": Style(NAMED, {"[TOOL_CALLS]": 256, "[CALL_ID]": 257, "[ARGS]": 258}),
    "named without ids": Style(replace(NAMED, before_id=""), {"[TOOL_CALLS]": 256, "[ARGS]": 258}),
}
THINK = {"[THINK]": 259, "[/THINK]": 260}
TAGS, MARKS = Thinking("<think>", "</think>"), Thinking("[THINK]", "[/THINK]")
NATIVE = {
    "native": (TAGS, {}),
    "native, begun": (replace(TAGS, begun=True), {}),
    "native, control tokens": (MARKS, THINK),
    "native, control tokens, begun": (replace(MARKS, begun=True), THINK),
}
TOLD = {
    "told": (replace(TAGS, native=False), {}),
    "told, begun": (replace(TAGS, native=False, begun=True), {}),
    "told, control tokens": (replace(MARKS, native=False), THINK),
}


@functools.cache
def _matcher(grammar: str) -> LLMatcher:
    matcher = LLMatcher(BYTES, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def matcher(grammar: str) -> LLMatcher:
    """Return the initial state of a completion with a grammar."""
    return _matcher(grammar).deep_copy()


def grammar_of(
    style: Style,
    calls: Calls = "auto",
    *,
    functions: Sequence[Function] = FUNCTIONS,
    parallel: bool = True,
    schema: dict[str, Any] | None = None,
    thinking: Thinking | None = None,
    controls: dict[str, int] | None = None,
    most_thinking: int = 1000,
) -> str:
    """Return the grammar of answers with calls in this style."""
    spec = AnswerSpec(functions=tuple(functions), calls=calls, parallel=parallel, schema=schema)
    terminal = terminal_writer(style.controls | (controls or {}))
    grammar = answer_grammar(spec, style.form, thinking, terminal=terminal, most_thinking=most_thinking)
    assert grammar is not None
    return grammar


def follow(grammar: str, tokens: Sequence[int]) -> str:
    """Classify tokens by a grammar: ``whole``, a ``beginning``, or ``refused``."""
    begun = matcher(grammar)
    taken = begun.try_consume_tokens(list(tokens))
    assert not begun.is_error(), begun.get_error()
    if taken < len(tokens):
        assert not begun.compute_logit_bias()[tokens[taken]]
        return "refused"
    return "whole" if begun.is_accepting() else "beginning"


each_style = pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
with_trigger = pytest.mark.parametrize(
    "style", [style for style in STYLES.values() if style.form.trigger], ids=[name for name in STYLES if name != "bare"]
)
auto_or_required = pytest.mark.parametrize("calls", ["auto", "required"])


UNTAGGED = [
    '{"name": "weather", "arguments": {"city": "Paris"}}',
    '{"name": "weather-in", "parameters": {"units": []}}',
    '\n{"name": "clock", "arguments": {}}\n',
    '{"name":"clock","arguments":{}}',
    '{\n  "name" : "clock",\n\t"arguments" :\r\n {}\n}',
    '[{"name": "clock", "arguments": {}}]',
    '[{"name": "clock", "arguments": {}}, {"name": "weather", "arguments": {"city": "Paris"}}]',
    '[\n  {\n    "name": "clock",\n    "parameters": {}\n  },\n  {"name": "clock", "arguments": {}}\n]',
]


FENCED = [
    '```json\n{"name": "weather", "arguments": {"city": "Paris"}}\n```',
    '```json\n{\n  "name": "weather-in",\n  "parameters": {"units": ["c"]}\n}\n```\n',
    '\n```\n{"name": "clock", "arguments": {}}```',
    '```JSON{"name":"clock","arguments":{}}',
    '```tool_call\r\n{"name": "clock", "arguments": {}}\r\n```',
    '```json\n[{"name": "clock", "arguments": {}}]\n```',
    '```json\n[\n  {"name": "clock", "arguments": {}},\n  {"name": "clock", "arguments": {}}\n]\n```',
]
"""Calls in a Markdown fence, which need not be closed."""


def thought(thinking: Thinking, text: str) -> str:
    """Return thinking as in an answer."""
    blank = "" if thinking.native or thinking.open == "[THINK]" else "\n"
    begin = "" if thinking.begun else thinking.open
    return f"{begin}{blank}{text}{blank}{thinking.close}" + (blank and "\n\n")
