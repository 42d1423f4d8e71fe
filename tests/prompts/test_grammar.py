"""Grammars of answers, followed byte by byte: what they let models write, and what they do not."""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from ponant.api.chat import Function
from ponant.prompts.answers import MOST_TOOLS, AnswerForm, Calls
from ponant.prompts.calls import BARE, LISTED, MOST_CALLS, NAMED, TAGGED, ArgumentCalls, CallForm
from ponant.prompts.grammar import answer_grammar, is_token, named_literal
from ponant.prompts.reading import Thinking

BYTES = LLTokenizer("byte")
"""A vocabulary of bytes, and after them some control tokens that are free to be called anything."""

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
    """A form of calls in a vocabulary: with the ids of what are control tokens in it."""

    form: CallForm
    controls: dict[str, int] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.form, tuple(self.controls)))

    def calls(self, *calls: tuple[str, str]) -> str:
        """Calls of functions by their names, with arguments as JSON."""
        if isinstance(self.form, ArgumentCalls):
            return "".join(f"{self.form.trigger}{name}{self.form.before_arguments}{given}" for name, given in calls)
        written = [f'{{"name": "{name}", "{self.form.arguments}": {given}}}' for name, given in calls]
        return self.form.trigger + self.form.open + self.form.between.join(written) + self.form.close

    def call(self, name: str = "weather", arguments: str | None = None) -> str:
        """A call of a function, with good arguments if there are no others."""
        return self.calls((name, GOOD.get(name, "{}") if arguments is None else arguments))

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text in which there are control tokens."""
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
    """Where a completion is that follows a grammar and has not begun."""
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
    """The grammar of answers with calls in this style, if there are to be any."""
    form = AnswerForm(functions=tuple(functions), calls=calls, parallel=parallel, schema=schema)
    literal = named_literal(style.controls | (controls or {}))
    grammar = answer_grammar(form, style.form, thinking, literal=literal, most_thinking=most_thinking)
    assert grammar is not None
    return grammar


def follow(grammar: str, tokens: Sequence[int]) -> str:
    """What these tokens are to a grammar: ``whole``, a ``beginning``, or ``refused``."""
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

PLAIN_TEXTS = [
    "",
    "Hello",
    " \n",
    "é漢😀",
    "a" * 300,
    "{",
    "{}",
    "[1, 2]",
    "[",
    '{"name": "weath',
    '{"name": "weather"',
    '{"name": "weather"}',
    '[{"name": "weather"}]',
    '{"name": "weather-todays", "arguments": {"city": "Paris"}}',
    '{"name": "weathe", "arguments": 3}',
    '{"name": "weather_today", "arguments": 3}',
    '{"name": "weatherXtoday", "arguments": 3}',
    '{"name": "unknown", "arguments": {}}',
    '{"names": "weather", "arguments": {}}',
    '{"arguments": {}, "name": "weather"}',
    'See {"name": "weather", "arguments": {}}',
    '"name": "weather", "arguments": {}',
    "```",
    "```json\n",
    "```python\nprint('weather')\n```",
    '```json\n{"name": "Ada", "age": 36}\n```',
    '```json\n{"name": "weather"}\n```',
    '```json\n{"name": "unknown", "arguments": {}}\n```',
    '```json\n[{"arguments": {}, "name": "weather"}]\n```',
    '```json\n{}\n```\n```json\n{"name": "weather", "arguments": {}}\n```',
    'Such as:\n```json\n{"name": "weather", "arguments": {}}\n```\nor not',
    '`{"name": "weather", "arguments": {}}`',
    '``{"name": "weather", "arguments": {}}``',
    '````json\n{"name": "weather", "arguments": {}}',
    '```json title="a"\n{"name": "weather", "arguments": {}}',
    "<tool",
    "<tool_call",
    "<tool_calls>",
    "<tool_call >",
    "[TOOL_CALLS",
    "[TOOL_CALL]",
    "[ARGS",
    "</tool_call>",
    "<think>a</think>b",
]


@each_style
def test_text_may_be_anything_that_is_no_call(style: Style) -> None:
    grammar = grammar_of(style)
    assert {text: follow(grammar, list(text.encode())) for text in PLAIN_TEXTS} == dict.fromkeys(PLAIN_TEXTS, "whole")


@each_style
@pytest.mark.parametrize(
    "text",
    [
        '|{|"name"|:|"weather"|,|"x": 1}',
        '|[|{|"name"|:|"weather"|,|"x": 1}]',
        '|```json|{|"name"|:|"weather"|,|"x": 1}',
        '|```|[|{|"name"|:|"weather"|,|"x": 1}]',
    ],
)
def test_text_becomes_a_call_or_stays_text_however_much_white_space_it_has(style: Style, text: str) -> None:
    begun = matcher(grammar_of(style))
    pieces = text.split("|")
    for place in range(1, len(pieces)):
        for blank in (" " * count for count in (1, 2, 7, 8, 9, 15, 16, 17, 40)):
            begun = matcher(grammar_of(style))
            written = b""
            for byte in ("".join(pieces[:place]) + blank + "".join(pieces[place:])).encode():
                mask = begun.compute_logit_bias()
                if not mask[byte]:  # it is a call: its next key, or a white space
                    assert {token for token in range(len(mask)) if mask[token]} <= set(b' \t\r\n"ap'), written
                    break
                begun.consume_token(byte)
                written += bytes([byte])


@with_trigger
def test_calls_may_follow_text(style: Style) -> None:
    for text in ("", "Let me look.\n\n", " ", "{", '{"name": "weather"', "<tool", "[TOOL_CALLS"):
        assert follow(grammar_of(style), [*text.encode(), *style.tokens(style.call())]) == "whole", text


@each_style
@auto_or_required
def test_calls_are_of_declared_functions(style: Style, calls: Calls) -> None:
    grammar = grammar_of(style, calls)
    assert {name: follow(grammar, style.tokens(style.call(name))) for name in GOOD} == dict.fromkeys(GOOD, "whole")
    unknown = ("unknown", "weathe", "weatherXtoday", "weather_today", "WEATHER", "weather-todays", "")
    expected = "whole" if (style.form, calls) == (BARE, "auto") else "refused"  # as text
    for name in unknown:
        for arguments in ("{}", GOOD["weather"]):
            assert follow(grammar, style.tokens(style.call(name, arguments))) == expected, name


@each_style
@auto_or_required
def test_arguments_that_do_not_fit_are_refused(style: Style, calls: Calls) -> None:
    for name, arguments in (
        ("weather", "{}"),
        ("weather", '{"town": "Paris"}'),
        ("weather", '{"city": 1}'),
        ("weather", '{"city": "Paris", "days": 8}'),
        ("weather", '{"city": "Paris", "more": 1}'),
        ("weather", '"Paris"'),
        ("weather", "null"),
        ("weather", '"{\\"city\\": \\"Paris\\"}"'),
        ("weather-today", '{"units": []}'),
        ("weather-in", '{"city": "Paris"}'),
        ("weather-in", '{"units": ["c", "c", "c", "c"]}'),
        ("clock", '{"city": "Paris"}'),
        ("clock", "[]"),
    ):
        tokens = style.tokens(style.call(name, arguments))
        assert follow(grammar_of(style, calls), tokens) == "refused", (name, arguments)


@each_style
@auto_or_required
def test_strings_in_arguments_may_have_any_characters(style: Style, calls: Calls) -> None:
    before, after = map(style.tokens, style.call("weather", '{"city": "|"}').split("|"))
    for city in ("é漢😀", "", 'a \\"b\\" \\\\', "<tool_call>", "[TOOL_CALLS]", "</tool_call>", "; }]"):
        assert follow(grammar_of(style, calls), [*before, *city.encode(), *after]) == "whole", city


@each_style
@auto_or_required
def test_call_that_has_begun_is_ended(style: Style, calls: Calls) -> None:
    tokens = style.tokens(style.call())
    first = 0 if calls == "required" else len(style.tokens(style.form.trigger))
    if style.form == BARE and calls == "auto":
        first = len('{"name": "weather",')
    last = len(tokens) if isinstance(style.form, ArgumentCalls) else len(tokens) - len(style.tokens(style.form.close))
    grammar = grammar_of(style, calls)
    assert {follow(grammar, tokens[:end]) for end in range(first, last)} == {"beginning"}


@each_style
@auto_or_required
def test_nothing_follows_calls(style: Style, calls: Calls) -> None:
    for after in ("!", "x", "\n\nDone.", "{}", ","):
        tokens = [*style.tokens(style.call()), *after.encode()]
        assert follow(grammar_of(style, calls), tokens) == "refused", after


@each_style
@auto_or_required
def test_calls_may_be_several(style: Style, calls: Calls) -> None:
    if style.form == BARE and calls == "auto":
        return  # they are a list then, as other calls without tags
    several = style.tokens(style.calls(*GOOD.items()))
    assert follow(grammar_of(style, calls), several) == "whole"
    assert follow(grammar_of(style, calls, parallel=False), several) == "refused"
    one = style.tokens(style.call())
    assert follow(grammar_of(style, calls, parallel=False), one) == "whole"


@each_style
def test_calls_are_no_more_than_the_most(style: Style) -> None:
    grammar = grammar_of(style, "required", functions=[function("clock", {})])
    most = style.tokens(style.calls(*[("clock", "{}")] * MOST_CALLS))
    more = style.tokens(style.calls(*[("clock", "{}")] * (MOST_CALLS + 1)))
    assert (follow(grammar, most), follow(grammar, more)) == ("whole", "refused")


@each_style
def test_required_call_leaves_no_room_for_text(style: Style) -> None:
    assert follow(grammar_of(style, "required"), []) == "beginning"
    for text in ("Hello", " ", "\n", "{}", "[]", '{"name": "unknown"', "<think>"):
        assert follow(grammar_of(style, "required"), list(text.encode())) == "refused", text


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
"""The same in a Markdown fence, which need not be closed."""


@each_style
def test_calls_may_forget_their_tags(style: Style) -> None:
    for text in UNTAGGED + FENCED:
        assert follow(grammar_of(style), list(text.encode())) == "whole", text
        one_or_none = "refused" if text.count("name") > 1 else "whole"
        assert follow(grammar_of(style, parallel=False), list(text.encode())) == one_or_none, text


@each_style
def test_what_begins_like_an_untagged_call_must_be_one(style: Style) -> None:
    for text in (
        '{"name": "weather", "age"',
        '{"name": "weather", "arguments": {"town"',
        '{"name": "weather", "parameters": {"days": 8',
        '{"name": "clock", "arguments": {"',
        '{"name": "clock", "arguments": {}} and',
        '{"name": "clock", "arguments": {}, ',
        '{"name": "clock", "arguments": {}}, ',
        '{"name": "clock", "arguments": {}}\n{',
        '[{"name": "clock", "arguments": {}}, 1',
        '[{"name": "clock", "arguments": {}}, {"name": "unknown"',
        '[{"name": "clock", "arguments": {}}}',
        '[{"name": "weather-in", "arguments": {"city"',
        '{"name": "clock", "arguments": "',
        '{"name": "clock", "arguments": [',
    ):
        for fence in ("", "```json\n", " ```"):
            assert follow(grammar_of(style), list((fence + text).encode())) == "refused", (fence, text)


@each_style
def test_nothing_follows_calls_in_a_fence(style: Style) -> None:
    for text in FENCED:
        for after in ("Done.", "\n``", '\n```json\n{"name": "clock", "arguments": {}}\n```', "````"):
            written = list((text.rstrip("`\n") + "\n```" + after).encode())
            assert follow(grammar_of(style), written) == "refused", (text, after)


@each_style
def test_untagged_calls_are_no_more_than_the_most(style: Style) -> None:
    call = '{"name": "clock", "arguments": {}}'
    grammar = grammar_of(style, functions=[function("clock", {})])
    for count, expected in ((MOST_CALLS, "whole"), (MOST_CALLS + 1, "refused")):
        assert follow(grammar, list(f"[{', '.join([call] * count)}]".encode())) == expected


@with_trigger
@pytest.mark.parametrize("parallel", [True, False])
def test_answer_is_a_document_or_calls(style: Style, parallel: bool) -> None:
    grammar = grammar_of(style, schema=DOCUMENT, parallel=parallel)
    assert follow(grammar, list(b'{"a": 1}')) == "whole"
    assert follow(grammar, style.tokens(style.call())) == "whole"
    assert follow(grammar, []) == "beginning"
    for text in ("Hello", '{"b": 1}', '{"a": "b"}', '{"a": 1} ', '[{"a": 1}]', '{"a":1}', '{"name": "clock"'):
        assert follow(grammar, list(text.encode())) == "refused", text
    several = style.tokens(style.calls(*GOOD.items()))
    assert follow(grammar, several) == ("whole" if parallel else "refused")


@each_style
def test_document_alone(style: Style) -> None:
    grammar = grammar_of(style, "none", schema=DOCUMENT, functions=[])
    assert follow(grammar, list(b'{"a": 1}')) == "whole"
    assert follow(grammar, style.tokens(style.call())) == "refused"


@each_style
@pytest.mark.parametrize("thinking", [None, TAGS, MARKS, replace(TAGS, begun=True)])
def test_free_text_has_no_grammar(style: Style, thinking: Thinking | None) -> None:
    literal = named_literal(style.controls | THINK)
    form = AnswerForm(functions=FUNCTIONS, reasoning=thinking is not None)
    assert answer_grammar(form, style.form, thinking, literal=literal, most_thinking=100) is None


def thought(thinking: Thinking, text: str) -> str:
    """Thoughts as an answer has them."""
    blank = "" if thinking.native or thinking.open == "[THINK]" else "\n"
    begin = "" if thinking.begun else thinking.open
    return f"{begin}{blank}{text}{blank}{thinking.close}" + (blank and "\n\n")


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
    """Models that think by themselves write it, whatever form the answer has."""
    thinking, controls = (NATIVE | TOLD)[kind]
    if not thinking.native and not controls:
        return  # told how much of it
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
    """A model that would never end it by itself, whatever it writes."""
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


def compiles(grammar: str, tokens: list[int]) -> bool:
    """Whether a grammar can be compiled, and these tokens are whole in it."""
    begun = LLMatcher(BYTES, grammar, log_level=0)
    assert not begun.is_error(), begun.get_error()
    return begun.try_consume_tokens(tokens) == len(tokens) and begun.is_accepting()


def many(number: int) -> list[Function]:
    return [function(f"function-{index}_", CITY | {"title": f"T{index}"}) for index in range(number)]


@each_style
@auto_or_required
@pytest.mark.parametrize("number", [1, 2, 17, MOST_TOOLS - 1, MOST_TOOLS])
def test_grammars_of_any_number_of_functions_can_be_compiled(style: Style, calls: Calls, number: int) -> None:
    functions = many(number)
    tokens = style.tokens(style.call(functions[-1].name, '{"city": "P"}'))
    assert compiles(grammar_of(style, calls, functions=functions), tokens)


@pytest.mark.parametrize("kind", [*NATIVE, *TOLD])
@auto_or_required
def test_grammars_of_the_most_functions_can_be_compiled_with_thinking(kind: str, calls: Calls) -> None:
    thinking, controls = (NATIVE | TOLD)[kind]
    functions = many(MOST_TOOLS)
    style = Style(TAGGED, controls)
    tokens = style.tokens(thought(thinking, "Well.") + style.call(functions[-1].name, '{"city": "P"}'))
    assert compiles(grammar_of(style, calls, functions=functions, thinking=thinking, controls=controls), tokens)


def test_grammars_of_the_most_functions_can_be_compiled_with_a_schema() -> None:
    for style in (STYLES["tagged"], STYLES["named"]):
        assert compiles(grammar_of(style, functions=many(MOST_TOOLS), schema=DOCUMENT), list(b'{"a": 1}'))


TRICKY_SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "object"},
    {"properties": {"a": {"type": "string", "description": "see http://a.b // no comment # neither /* nor this */"}}},
    {"properties": {'"quoted" \\ / { } \n \t é 漢': {"type": "null"}}},
    {"properties": {"%json": {"const": "%json {}"}, "start": {"enum": ["start: body", "</tool_call>", "[ARGS]"]}}},
    {"description": "%json { } \" ' ` \u2028 \ufdd0", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {}}},
    {"anyOf": [CITY, UNITS]},
    {"$ref": "#/$defs/city", "$defs": {"city": CITY}},
    {"properties": {"a": {"type": "string", "pattern": "^[a-z]/\\d{2}\\\\$"}}},
    {"properties": {"a": {"type": "string", "format": "date"}}, "x-guidance": {"whitespace_flexible": True}},
]


@pytest.mark.parametrize("schema", TRICKY_SCHEMAS)
def test_whatever_schemas_say_is_no_part_of_the_grammar(schema: dict[str, Any]) -> None:
    functions = [function("f", schema), function("clock", {})]
    for style in (STYLES["tagged"], STYLES["named"]):
        for grammar in (
            grammar_of(style, functions=functions),
            grammar_of(style, "required", functions=functions),
            grammar_of(style, schema=schema | {"type": "object"}, functions=functions),
        ):
            assert follow(grammar, style.tokens(style.call("clock"))) == "whole"


@pytest.mark.parametrize("name", ["-", "--", "_", "a-b", "0", "f" * 64, "start", "body", "TEXT", "calls", "n"])
@pytest.mark.parametrize("style", [STYLES["tagged"], STYLES["listed"], STYLES["named"]])
def test_names_are_no_part_of_the_grammar(style: Style, name: str) -> None:
    functions = [function(name), function("clock", {})]
    for calls in ("auto", "required"):
        grammar = grammar_of(style, calls, functions=functions)
        assert follow(grammar, style.tokens(style.call(name, GOOD["weather"]))) == "whole"
    written = json.dumps({"name": name, "arguments": {"city": "Paris"}})
    assert follow(grammar_of(style, functions=functions), list(written.encode())) == "whole"


def test_literals_are_tokens_where_there_are_some() -> None:
    literal = named_literal({"[ARGS]": 7})
    assert (literal("[ARGS]"), literal('"\n')) == ("<[7]>", '"\\"\\n"')
    assert is_token(literal("[ARGS]"))
    assert not is_token(literal("<think>"))
