"""Chat templates: rewritten turns, and unsupported features."""

import json
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from jinja2 import TemplateError

from ponant.api.messages import FunctionCall, ToolCall
from ponant.prompts.answer.output_format import Thinking
from ponant.prompts.chat.templates import FALLBACK, ChatTemplate, TemplateRefusedError
from ponant.prompts.chat.turns import Turn
from ponant.prompts.tools.call_formats import BARE, LISTED, NAMED, TAGGED, CallFormat
from tests.prompts.chat_templates import (
    ALTERNATING,
    ARGUMENTS,
    ARGUMENTS_AND_IDS,
    ARGUMENTS_AND_THINKING,
    CHATML,
    GLUE,
    LIST,
    LLAMA,
    MISTRAL,
    NO_SYSTEM,
    PARAMETERS,
    TAGS,
    TAGS_AND_THINKING,
    TAGS_WITHOUT_TOOLS,
    THINKS_ALWAYS,
    TIGHT,
    TIGHT_LIST,
    TOOLS,
    TURNED,
    XML,
)

SYSTEM, USER, ANSWER, MORE = Turn("system", "S"), Turn("user", "U"), Turn("assistant", "A"), Turn("user", " V ")
CALL = Turn("assistant", "", [ToolCall(id="abcdefgh1", function=FunctionCall(name="f", arguments={"é": 1}))])
RESULT = Turn("tool", "R", tool_call_id="abcdefgh1", name="f")
CALL_TEXT = '<tool_call>\n{"name": "f", "arguments": {"é": 1}}\n</tool_call>'
RESULT_TEXT = "<tool_response>\nR\n</tool_response>"

PLAIN = [USER]
HEAD = [SYSTEM, USER, ANSWER, MORE]
LATER = [USER, ANSWER, SYSTEM, MORE]
CALLED = [USER, CALL, RESULT]


@pytest.mark.parametrize("source", [CHATML, NO_SYSTEM, ALTERNATING, LLAMA, MISTRAL, TAGS, ARGUMENTS, LIST])
@pytest.mark.parametrize("turns", [[ANSWER, USER], [SYSTEM, ANSWER, USER], [SYSTEM, Turn("user", "")]])
def test_first_answer_needs_no_question(source: str, turns: list[Turn]) -> None:
    prompt = rendered(source, turns)
    assert all(turn.text in prompt for turn in turns)


def rendered(source: str, turns: list[Turn]) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(turns)


@pytest.mark.parametrize(
    ("source", "turns", "expected"),
    [
        pytest.param(CHATML, PLAIN, "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n", id="ChatML"),
        pytest.param(
            CHATML,
            LATER,
            "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n"
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n V <|im_end|>\n<|im_start|>assistant\n",
            id="ChatML, later system text",
        ),
        pytest.param(
            CHATML,
            CALLED,
            f"<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n{CALL_TEXT}<|im_end|>\n"
            f"<|im_start|>user\n{RESULT_TEXT}<|im_end|>\n<|im_start|>assistant\n",
            id="ChatML, tools it does not know",
        ),
        pytest.param(NO_SYSTEM, PLAIN, "<s><turn>user\nU</turn>\n<turn>model\n", id="no system role"),
        pytest.param(
            NO_SYSTEM,
            HEAD,
            "<s><turn>user\nS\n\nU</turn>\n<turn>model\nA</turn>\n<turn>user\nV</turn>\n<turn>model\n",
            id="no system role, system text",
        ),
        pytest.param(
            NO_SYSTEM,
            LATER,
            "<s><turn>user\nS\n\nU</turn>\n<turn>model\nA</turn>\n<turn>user\nV</turn>\n<turn>model\n",
            id="no system role, later system text",
        ),
        pytest.param(
            NO_SYSTEM,
            [SYSTEM, ANSWER, USER],
            "<s><turn>user\nS</turn>\n<turn>model\nA</turn>\n<turn>user\nU</turn>\n<turn>model\n",
            id="no system role, system text before an answer",
        ),
        pytest.param(
            NO_SYSTEM,
            CALLED,
            f"<s><turn>user\nU</turn>\n<turn>model\n{CALL_TEXT}</turn>\n"
            f"<turn>user\n{RESULT_TEXT}</turn>\n<turn>model\n",
            id="no system role, tools",
        ),
        pytest.param(ALTERNATING, HEAD, "SYSTEM: S\nUSER: U\nASSISTANT: A\nUSER:  V \nASSISTANT:", id="alternating"),
        pytest.param(
            ALTERNATING,
            LATER,
            "SYSTEM: S\nUSER: U\nASSISTANT: A\nUSER:  V \nASSISTANT:",
            id="alternating, later system text",
        ),
        pytest.param(
            ALTERNATING,
            [USER, SYSTEM, USER],
            "SYSTEM: S\nUSER: U\n\nU\nASSISTANT:",
            id="alternating, system text between user texts",
        ),
        pytest.param(
            ALTERNATING,
            [USER, CALL, RESULT, RESULT, USER],
            f"USER: U\nASSISTANT: {CALL_TEXT}\nUSER: {RESULT_TEXT}\n\n{RESULT_TEXT}\n\nU\nASSISTANT:",
            id="alternating, tools",
        ),
        pytest.param(
            LLAMA,
            [SYSTEM, MORE],
            "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            id="Llama",
        ),
        pytest.param(MISTRAL, PLAIN, "<s>[INST] U[/INST]", id="Mistral"),
        pytest.param(MISTRAL, HEAD, "<s>[INST] U[/INST] A</s>[INST] S\n\n V [/INST]", id="Mistral, system text"),
        pytest.param(MISTRAL, LATER, "<s>[INST] U[/INST] A</s>[INST] S\n\n V [/INST]", id="Mistral, later system text"),
        pytest.param(
            MISTRAL,
            CALLED,
            '<s>[INST] U[/INST][TOOL_CALLS] [{"name": "f", "arguments": {"é": 1}, "id": "abcdefgh1"}]</s>'
            '[TOOL_RESULTS] {"content": "R", "call_id": "abcdefgh1"}[/TOOL_RESULTS]',
            id="Mistral, tools",
        ),
        pytest.param(
            TOOLS,
            [SYSTEM, *CALLED],
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n<tool_call>\n"
            '{"name": "f", "arguments": {"é": 1}}\n</tool_call><|im_end|>\n<|im_start|>tool\nR<|im_end|>\n'
            "<|im_start|>assistant\n",
            id="supported tools",
        ),
        pytest.param(
            FALLBACK,
            HEAD,
            "### System:\nS\n\n### User:\nU\n\n### Assistant:\nA\n\n### User:\n V \n\n### Assistant:\n",
            id="fallback",
        ),
    ],
)
def test_turns_are_brought_into_what_the_template_can_express(source: str, turns: list[Turn], expected: str) -> None:
    assert rendered(source, turns) == expected


@pytest.mark.parametrize(
    ("source", "form"),
    [
        pytest.param(TAGS, TAGGED, id="tags"),
        pytest.param(TAGS_AND_THINKING, TAGGED, id="tags and thinking"),
        pytest.param(PARAMETERS, BARE, id="parameters"),
        pytest.param(LIST, replace(LISTED, open=" ["), id="a list"),
        pytest.param(TIGHT_LIST, LISTED, id="a list without a space"),
        pytest.param(ARGUMENTS_AND_IDS, NAMED, id="arguments and ids"),
        pytest.param(ARGUMENTS, replace(NAMED, before_id=""), id="arguments"),
        pytest.param(ARGUMENTS_AND_THINKING, replace(NAMED, before_id=""), id="arguments and thinking"),
        pytest.param(XML, None, id="XML"),
        pytest.param(TURNED, None, id="arguments first"),
        pytest.param(THINKS_ALWAYS, None, id="calls of which one is left out"),
        pytest.param(TAGS_WITHOUT_TOOLS, None, id="tools not shown"),
        pytest.param(TOOLS, None, id="tools not shown either"),
        pytest.param(MISTRAL, None, id="a list, tools not shown"),
        pytest.param(TIGHT, None, id="calls in a form of its own"),
        *[pytest.param(source, None) for source in (CHATML, LLAMA, NO_SYSTEM, ALTERNATING, FALLBACK, GLUE, "", "U")],
        pytest.param("{{ raise_exception('I take no messages') }}", None, id="refuses everything"),
        pytest.param("{% if tools %}{{ raise_exception('no tools') }}{% endif %}" + TAGS, None, id="refuses tools"),
    ],
)
def test_form_of_calls_is_that_of_the_template(source: str, form: CallFormat | None) -> None:
    assert ChatTemplate(source, bos="<s>", eos="</s>").calls == form


@pytest.mark.parametrize(
    ("source", "thinking"),
    [
        pytest.param(TAGS_AND_THINKING, Thinking("<think>", "</think>"), id="tags"),
        pytest.param(THINKS_ALWAYS, Thinking("<think>", "</think>"), id="begins with it"),
        pytest.param(ARGUMENTS_AND_THINKING, Thinking("[THINK]", "[/THINK]"), id="Mistral's"),
        pytest.param(CHATML + "{# no <think> #}", None, id="it is not closed"),
        *[pytest.param(source, None) for source in (TAGS, PARAMETERS, LIST, ARGUMENTS, CHATML, FALLBACK)],
    ],
)
def test_thinking_is_that_of_the_template(source: str, thinking: Thinking | None) -> None:
    assert ChatTemplate(source, bos="<s>", eos="</s>").thinking == thinking


FUNCTIONS = [{"name": name, "description": "Dé", "parameters": {"type": "object"}} for name in ("f", "g")]
SHOWN_TOOLS: list[dict[str, Any]] = [{"type": "function", "function": function} for function in FUNCTIONS]
TWO_CALLS = Turn(
    "assistant",
    "",
    [
        ToolCall(id="abcdefgh1", function=FunctionCall(name="f", arguments={"é": 1})),
        ToolCall(id="abcdefgh2", function=FunctionCall(name="g", arguments={"k": "v"})),
    ],
    thinking="hm",
)
OTHER_RESULT = Turn("tool", "Q", tool_call_id="abcdefgh2", name="g")
SECOND_TURN = [USER, TWO_CALLS, RESULT, OTHER_RESULT]


@pytest.mark.parametrize("source", [TAGS, TAGS_AND_THINKING, PARAMETERS, LIST, ARGUMENTS_AND_IDS, ARGUMENTS])
def test_tools_are_shown_as_json(source: str) -> None:
    shown = ChatTemplate(source, bos="<s>", eos="</s>").render([USER], tools=SHOWN_TOOLS)
    written = [
        json.JSONDecoder().raw_decode(shown, match.start())[0] for match in re.finditer(r"{\s*\"type\": ", shown)
    ]
    assert [tool for tool in written if tool["type"] == "function"] == SHOWN_TOOLS
    assert "Dé" in shown


@pytest.mark.parametrize("source", [TAGS, PARAMETERS, LIST, ARGUMENTS, XML])
def test_without_tools_none_are_shown(source: str) -> None:
    template = ChatTemplate(source, bos="<s>", eos="</s>")
    assert template.render([USER], tools=[]) == template.render([USER])
    assert "Dé" not in template.render([USER])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            TAGS,
            "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
            '<tool_call>\n{"name": "f", "arguments": {"é": 1}}\n</tool_call>\n'
            '<tool_call>\n{"name": "g", "arguments": {"k": "v"}}\n</tool_call><|im_end|>\n'
            "<|im_start|>user\n<tool_response>\nR\n</tool_response>\n<tool_response>\nQ\n</tool_response><|im_end|>\n"
            "<|im_start|>assistant\n",
            id="tags",
        ),
        pytest.param(
            TIGHT_LIST,
            '<s>[INST] U[/INST][TOOL_CALLS][{"name": "f", "arguments": {"é": 1}, "id": "abcdefgh1"}, '
            '{"name": "g", "arguments": {"k": "v"}, "id": "abcdefgh2"}]</s>'
            '[TOOL_RESULTS] {"content": "R", "call_id": "abcdefgh1"}[/TOOL_RESULTS]'
            '[TOOL_RESULTS] {"content": "Q", "call_id": "abcdefgh2"}[/TOOL_RESULTS]',
            id="a list",
        ),
        pytest.param(
            ARGUMENTS_AND_IDS,
            '<s>[INST] U[/INST][TOOL_CALLS]f[CALL_ID]abcdefgh1[ARGS]{"é": 1}'
            '[TOOL_CALLS]g[CALL_ID]abcdefgh2[ARGS]{"k": "v"}</s>'
            '[TOOL_RESULTS] {"content": "R", "call_id": "abcdefgh1"}[/TOOL_RESULTS]'
            '[TOOL_RESULTS] {"content": "Q", "call_id": "abcdefgh2"}[/TOOL_RESULTS]',
            id="arguments and ids",
        ),
        pytest.param(
            THINKS_ALWAYS,
            '<s><|User|>U<|Assistant|><tool_call>\n{"name": "f", "arguments": {"é": 1}}\n</tool_call>\n'
            '<tool_call>\n{"name": "g", "arguments": {"k": "v"}}\n</tool_call></s>'
            "<|User|><tool_response>\nR\n</tool_response>\n\n<tool_response>\nQ\n</tool_response>"
            "<|Assistant|><think>\n",
            id="calls it would leave out",
        ),
    ],
)
def test_second_turn_has_calls_and_results(source: str, expected: str) -> None:
    assert rendered(source, SECOND_TURN) == expected


def test_calls_come_one_after_the_other_where_the_template_knows_one_a_message() -> None:
    assert rendered(PARAMETERS, SECOND_TURN) == (
        "<s><|start_header_id|>system<|end_header_id|>\n\n<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
        '<|start_header_id|>assistant<|end_header_id|>\n\n{"name": "f", "parameters": {"é": 1}}<|eot_id|>'
        '<|start_header_id|>ipython<|end_header_id|>\n\n"R"<|eot_id|>'
        '<|start_header_id|>assistant<|end_header_id|>\n\n{"name": "g", "parameters": {"k": "v"}}<|eot_id|>'
        '<|start_header_id|>ipython<|end_header_id|>\n\n"Q"<|eot_id|>'
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_one_call_is_a_message_of_its_own() -> None:
    assert rendered(PARAMETERS, CALLED).endswith(
        '<|start_header_id|>assistant<|end_header_id|>\n\n{"name": "f", "parameters": {"é": 1}}<|eot_id|>'
        '<|start_header_id|>ipython<|end_header_id|>\n\n"R"<|eot_id|>'
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


@pytest.mark.parametrize(
    ("source", "reasoning", "ending"),
    [
        (TAGS_AND_THINKING, False, "assistant\n<think>\n\n</think>\n\n"),
        (TAGS_AND_THINKING, True, "<|im_start|>assistant\n"),
        (THINKS_ALWAYS, False, "<|Assistant|><think>\n"),
        (THINKS_ALWAYS, True, "<|Assistant|><think>\n"),
        (TAGS, True, "<|im_start|>assistant\n"),
    ],
)
def test_template_is_told_whether_to_think(source: str, reasoning: bool, ending: str) -> None:
    assert ChatTemplate(source, bos="", eos="").render([USER], reasoning=reasoning).endswith(ending)


def test_earlier_thinking_is_where_the_template_has_it() -> None:
    answer = Turn("assistant", "A", thinking="hm")
    called = rendered(TAGS_AND_THINKING, SECOND_TURN)
    assert called.count("<think>\nhm\n</think>\n") == 1
    assert "hm" not in rendered(TAGS_AND_THINKING, [USER, answer, MORE])
    assert "[THINK]hm[/THINK]A</s>" in rendered(ARGUMENTS_AND_THINKING, [USER, answer, MORE])
    for source in (CHATML, TAGS, THINKS_ALWAYS, FALLBACK):
        assert "hm" not in rendered(source, [USER, answer, MORE])


def test_thinking_before_calls_stays_where_the_template_knows_thinking_but_no_calls() -> None:
    knows_thinking = CHATML.replace(
        "{{ message['content'] }}", "{{ message.reasoning_content }}|{{ message['content'] }}"
    )
    assert f"assistant\nhm|{CALL_TEXT}" in rendered(knows_thinking, [USER, replace(CALL, thinking="hm"), RESULT])


def test_refusal_has_the_words_of_the_template() -> None:
    long_id = Turn("assistant", "", [ToolCall(id="call_1", function=FunctionCall(name="f", arguments={}))])
    with pytest.raises(TemplateRefusedError, match="Tool call IDs must be 9 characters long"):
        rendered(MISTRAL, [USER, long_id, RESULT])


def test_date_is_that_of_today() -> None:
    template = ChatTemplate("{{ strftime_now('%Y') }}", bos="", eos="")
    assert template.render([USER]) == time.strftime("%Y")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ {'b': 'é', 'a': [1]} | tojson }}", '{"b": "é", "a": [1]}'),
        ("{{ {'b': 'é', 'a': [1]} | tojson(ensure_ascii=False) }}", '{"b": "é", "a": [1]}'),
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}", '{"a":2,"b":1}'),
        ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
        ("{{ '<>&' | tojson }}", '"<>&"'),
        ("{% for i in range(5) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% if tools %}tools{% endif %}{% if documents %}documents{% endif %}", ""),
        ("  {% if true %}\nline\n  {% endif %}\n", "line\n"),
    ],
)
def test_templates_have_what_transformers_gives_them(source: str, expected: str) -> None:
    assert rendered(source, PLAIN) == expected


@pytest.mark.parametrize("source", ["{% for %}", "{{ ", "{% unknown %}", "{{ x | unknown }}"])
def test_what_is_no_template_is_told(source: str) -> None:
    with pytest.raises(TemplateError):
        ChatTemplate(source, bos="", eos="")


@pytest.mark.parametrize(
    "source",
    ["{% for a in b %}" * 50 + "{% endfor %}" * 50, "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"],
    ids=["loops", "parentheses"],
)
def test_template_nested_too_deep_is_none(source: str) -> None:
    with pytest.raises(TemplateError):
        ChatTemplate(source, bos="", eos="")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{{ raise_exception['__globals__']['json'] }}",
        "{{ (raise_exception | attr('__globals__'))['json'] }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ strftime_now.__code__.co_code }}",
        "{{ '{0.__class__.__mro__}'.format('').x() }}",
        "{{ messages.append(messages[0]) }}",
        "{{ messages[0].update(role='system') }}",
        "{{ messages[0].clear() }}",
        "{{ range(10 ** 9) | list }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 1 / 0 }}",
        "{{ 'a' + 1 }}",
        "{{ messages[99].content }}",
        "{{ 'text' | dictsort }}",
        "{{ messages | map(attribute='a.b.c') | join }}",
        "{{ 'a' * 10 ** 18 }}",
        "{{ unknown() }}",
        "{{ strftime_now(1) }}",
    ],
)
def test_hostile_or_broken_template_is_refused(source: str) -> None:
    with pytest.raises(TemplateRefusedError):
        rendered(source, PLAIN)


def test_template_sees_no_more_than_the_conversation() -> None:
    template = "{{ ''.__class__ }}{{ config }}{{ request }}{{ os }}{{ environment }}{{ '{0.__class__}'.format('') }}"
    assert rendered(template, PLAIN) == ""
