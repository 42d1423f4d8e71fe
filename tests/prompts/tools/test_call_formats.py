"""Formats of calls: their texts, control tokens and grammars."""

import re
from typing import Any

import pytest

from ponant.api.chat import Function
from ponant.prompts.answer.spec import Calls
from ponant.prompts.tools.call_formats import (
    BARE,
    LISTED,
    NAMED,
    TAGGED,
    ArgumentCalls,
    CallFormat,
    JsonCalls,
    arguments_schema,
    characters,
    not_untagged,
    untagged_beginning,
)
from tests.prompts.styles import CITY, STYLES, UNITS, Style, each_style, follow, function, grammar_of

WITHOUT_IDS = ArgumentCalls(before_id="")
ID = "abcDEF123"
AUTO_OR_REQUIRED: tuple[Calls, ...] = ("auto", "required")


@pytest.mark.parametrize(
    ("form", "controls"),
    [
        (TAGGED, ("<tool_call>", "</tool_call>")),
        (LISTED, ("[TOOL_CALLS]",)),
        (BARE, ()),
        (JsonCalls(trigger="{", close="}"), ()),
        (NAMED, ("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]")),
        (WITHOUT_IDS, ("[TOOL_CALLS]", "[ARGS]")),
    ],
)
def test_marks_may_be_control_tokens(form: CallFormat, controls: tuple[str, ...]) -> None:
    assert form.controls == controls


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (TAGGED, '<tool_call>\n{"name": "f", "arguments": {"é": "\\n"}}\n</tool_call>'),
        (LISTED, '[TOOL_CALLS][{"name": "f", "arguments": {"é": "\\n"}}]'),
        (BARE, '{"name": "f", "parameters": {"é": "\\n"}}'),
    ],
)
def test_call_as_text(form: JsonCalls, expected: str) -> None:
    assert form.text("f", {"é": "\n"}) == expected


@pytest.mark.parametrize("form", [TAGGED, LISTED, BARE])
@pytest.mark.parametrize("name", ["weather", "clock"])
def test_call_as_text_is_what_the_grammar_accepts(form: JsonCalls, name: str) -> None:
    style = next(style for style in STYLES.values() if style.form == form)
    text = form.text(name, {} if name == "clock" else {"city": "Paris"})
    for calls in AUTO_OR_REQUIRED:
        assert follow(grammar_of(style, calls), style.tokens(text)) == "whole"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, {"type": "object", "properties": {}, "additionalProperties": False}),
        ({"type": "object"}, {"type": "object"}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}, "additionalProperties": False}),
        (CITY, CITY),
    ],
)
def test_arguments_are_an_object(parameters: dict[str, Any], expected: dict[str, Any]) -> None:
    assert arguments_schema(function("f", parameters)) == expected


@pytest.mark.parametrize(
    "more",
    [
        {"additionalProperties": True},
        {"required": ["b"]},
        {"patternProperties": {"^x": {}}},
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    ],
)
def test_arguments_may_have_more_where_the_schema_speaks_of_it(more: dict[str, Any]) -> None:
    parameters: dict[str, Any] = {"type": "object", "properties": {"a": {}}} | more
    assert arguments_schema(function("f", parameters)) == parameters


def test_schemas_of_arguments_leave_the_parameters_as_they_are() -> None:
    parameters: dict[str, Any] = {"properties": {}}
    arguments_schema(Function(name="f", parameters=parameters))["type"] = "array"
    assert parameters == {"properties": {}}


@pytest.mark.parametrize(
    "text", ["a", '"', "\\", "\n\t", "/", "é漢😀", "<tool_call>", "%json", "// no comment", "#", " "]
)
def test_characters_stand_for_themselves(text: str) -> None:
    grammar = f"start: {characters(text)}"
    assert follow(grammar, list(text.encode())) == "whole"
    assert follow(grammar, [*text.encode(), *b"x"]) == "refused"


@each_style
def test_calls_may_have_ids(style: Style) -> None:
    """Calls of Mistral's models have ids, which the model may omit."""
    form, tokens = style.form, style.tokens
    grammar = grammar_of(style, "required")
    written: dict[str, str] = {}
    for given in (ID, "abcDEF12", "abcDEF1234", "abcDEF12-", ""):
        if isinstance(form, ArgumentCalls):
            written[given] = f'[TOOL_CALLS]weather[CALL_ID]{given}[ARGS]{{"city": "P"}}'
        else:
            call = f'{{"name": "weather", "{form.arguments}": {{"city": "P"}}, "id": "{given}"}}'
            written[given] = f"{form.trigger}{form.open}{call}{form.close}"
    has_ids = form.before_id if isinstance(form, ArgumentCalls) else form.has_ids
    for given, text in written.items():
        assert follow(grammar, tokens(text)) == ("whole" if has_ids and given == ID else "refused")


@pytest.mark.parametrize(
    "controls", [{}, {"<tool_call>": 256}, {"</tool_call>": 257}, {"<tool_call>": 256, "</tool_call>": 257}]
)
def test_marks_are_those_of_the_vocabulary(controls: dict[str, int]) -> None:
    style = Style(TAGGED, controls)
    several = style.calls(("clock", "{}"), ("weather", '{"city": "P"}'))
    for calls in AUTO_OR_REQUIRED:
        grammar = grammar_of(style, calls)
        assert follow(grammar, style.tokens(several)) == "whole"
        if len(controls) == 2:
            assert follow(grammar, list(several.encode())) == ("whole" if calls == "auto" else "refused")  # as text


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ('{"name": "f", "parameters": {"city": "a; b"}}; {"name": "g", "parameters": {}}', True),
        ('{"name": "f", "parameters": {"city": "a"}};{"name": "g", "parameters": {}}', False),
        ('{"name": "f", "parameters": {"city": "a"}}; ', False),
        ('{"name": "f", "arguments": {"city": "a"}}', False),
    ],
)
def test_bare_calls_are_in_one_form_where_they_must_be(text: str, accepted: bool) -> None:
    grammar = grammar_of(STYLES["bare"], "required", functions=[function("f"), function("g", {})])
    assert (follow(grammar, list(text.encode())) == "whole") == accepted


def test_each_function_has_its_own_arguments_in_every_form() -> None:
    functions = [function("f"), function("g", UNITS)]
    for style in STYLES.values():
        for calls in AUTO_OR_REQUIRED:
            grammar = grammar_of(style, calls, functions=functions)
            for name, given, expected in (
                ("f", '{"city": "P"}', "whole"),
                ("g", '{"units": ["c"]}', "whole"),
                ("f", '{"units": ["c"]}', "refused"),
                ("g", '{"city": "P"}', "refused"),
            ):
                assert follow(grammar, style.tokens(style.call(name, given))) == expected
    for name, given, expected in (("g", '{"units": []}', "whole"), ("g", '{"city": "P"}', "refused")):
        text = f'[{{"name": "f", "arguments": {{"city": "P"}}}}, {{"name": "{name}", "arguments": {given}}}]'
        assert follow(grammar_of(STYLES["tagged"], functions=functions), list(text.encode())) == expected


@pytest.mark.parametrize("name", ["weather", "weather-today", "a_b", "-"])
def test_beginning_of_an_untagged_call_has_the_name(name: str) -> None:
    expression = re.compile(untagged_beginning("[a-z_-]+"))
    for text in (
        f'{{"name": "{name}", "arguments": ',
        f'{{ "name" :\n"{name}" ,\t"parameters":',
        f'{{"name":"{name}","arguments":',
    ):
        match = expression.match(text + '{"a": 1}')
        assert match is not None
        assert (match[0], match[1]) == (text, name)
    for text in (f'{{"name": "{name}"', f'{{"name": "{name}", "args": ', f'{{"name": {name}, "arguments": ', "{}"):
        assert expression.match(text) is None


@pytest.mark.parametrize("text", ["", "Hello", "{", '{"name": "f"', '{"name": "ff", "a', '{"name": "f.g", "a', "[{}]"])
def test_text_that_begins_like_no_call(text: str) -> None:
    functions = [function("f"), function("f-g")]
    grammar = f"start: TEXT\nTEXT: /(?s:.*)/ & {not_untagged(functions)}"
    assert follow(grammar, list(text.encode())) == "whole"
    for begun in ('{"name": "f",', '\n [\t{ "name" : "f-g" ,', '[{"name":"f",'):
        assert follow(grammar, list(begun.encode())) == "refused"
