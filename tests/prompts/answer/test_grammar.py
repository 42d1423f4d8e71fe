"""Grammars of answers, followed byte by byte: accepted and refused texts."""

import json
from dataclasses import replace
from typing import Any

import pytest
from llguidance import LLMatcher

from ponant.api.chat import Function
from ponant.prompts.answer.grammar import answer_grammar, is_token, terminal_writer
from ponant.prompts.answer.output_format import Thinking
from ponant.prompts.answer.spec import AnswerSpec, Calls
from ponant.prompts.tools.call_formats import BARE, MOST_CALLS, TAGGED, ArgumentCalls
from tests.prompts.styles import (
    BYTES,
    CITY,
    DOCUMENT,
    FENCED,
    FUNCTIONS,
    GOOD,
    MARKS,
    NATIVE,
    STYLES,
    TAGS,
    THINK,
    TOLD,
    UNITS,
    UNTAGGED,
    Style,
    auto_or_required,
    each_style,
    follow,
    function,
    grammar_of,
    matcher,
    thought,
    with_trigger,
)

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
                if not mask[byte]:  # a call: its next key, or white space
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
        return  # a list, as other calls without tags
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
    terminal = terminal_writer(style.controls | THINK)
    spec = AnswerSpec(functions=FUNCTIONS, reasoning=thinking is not None)
    assert answer_grammar(spec, style.form, thinking, terminal=terminal, most_thinking=100) is None


def compiles(grammar: str, tokens: list[int]) -> bool:
    """True if a grammar compiles and accepts these tokens as a whole answer."""
    begun = LLMatcher(BYTES, grammar, log_level=0)
    assert not begun.is_error(), begun.get_error()
    return begun.try_consume_tokens(tokens) == len(tokens) and begun.is_accepting()


def many(number: int) -> list[Function]:
    return [function(f"function-{index}_", CITY | {"title": f"T{index}"}) for index in range(number)]


@each_style
@auto_or_required
@pytest.mark.parametrize("number", [1, 2, 17 - 1, 128])
def test_grammars_of_any_number_of_functions_can_be_compiled(style: Style, calls: Calls, number: int) -> None:
    functions = many(number)
    tokens = style.tokens(style.call(functions[-1].name, '{"city": "P"}'))
    assert compiles(grammar_of(style, calls, functions=functions), tokens)


@pytest.mark.parametrize("kind", [*NATIVE, *TOLD])
@auto_or_required
def test_grammars_of_the_most_functions_can_be_compiled_with_thinking(kind: str, calls: Calls) -> None:
    thinking, controls = (NATIVE | TOLD)[kind]
    functions = many(128)
    style = Style(TAGGED, controls)
    tokens = style.tokens(thought(thinking, "Well.") + style.call(functions[-1].name, '{"city": "P"}'))
    assert compiles(grammar_of(style, calls, functions=functions, thinking=thinking, controls=controls), tokens)


def test_grammars_of_the_most_functions_can_be_compiled_with_a_schema() -> None:
    for style in (STYLES["tagged"], STYLES["named"]):
        assert compiles(grammar_of(style, functions=many(128), schema=DOCUMENT), list(b'{"a": 1}'))


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
    terminal = terminal_writer({"[ARGS]": 7})
    assert (terminal("[ARGS]"), terminal('"\n')) == ("<[7]>", '"\\"\\n"')
    assert is_token(terminal("[ARGS]"))
    assert not is_token(terminal("<think>"))
