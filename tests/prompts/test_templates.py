"""Chat templates: what they are given so that they can express it, and what they cannot do."""

import time

import pytest
from jinja2 import TemplateError

from ponant.api.messages import FunctionCall, ToolCall
from ponant.prompts.conversation import Turn
from ponant.prompts.templates import FALLBACK, ChatTemplate, TemplateRefusedError
from tests.prompts.chat_templates import ALTERNATING, CHATML, LLAMA, MISTRAL, NO_SYSTEM, TOOLS

SYSTEM, USER, ANSWER, MORE = Turn("system", "S"), Turn("user", "U"), Turn("assistant", "A"), Turn("user", " V ")
CALL = Turn("assistant", "", [ToolCall(id="abcdefgh1", function=FunctionCall(name="f", arguments={"é": 1}))])
RESULT = Turn("tool", "R", tool_call_id="abcdefgh1", name="f")

PLAIN = [USER]
HEAD = [SYSTEM, USER, ANSWER, MORE]
LATER = [USER, ANSWER, SYSTEM, MORE]
CALLED = [USER, CALL, RESULT]


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
            '<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n{"name": "f", "arguments": {"é": 1}}<|im_end|>\n'
            "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n",
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
            '<s><turn>user\nU</turn>\n<turn>model\n{"name": "f", "arguments": {"é": 1}}</turn>\n'
            "<turn>user\nR</turn>\n<turn>model\n",
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
            'USER: U\nASSISTANT: {"name": "f", "arguments": {"é": 1}}\nUSER: R\n\nR\n\nU\nASSISTANT:',
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
            id="tools that it knows",
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
