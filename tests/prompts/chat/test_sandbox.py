"""Limits of what a chat template can make."""

import pytest

from ponant.prompts.chat.templates import ChatTemplate, TemplateRefusedError
from ponant.prompts.chat.turns import Turn

USER = Turn("user", "hello")

DOUBLED = "{%% set ns = namespace(x=%s) %%}{%% for i in range(60) %%}{%% set ns.x = %s %%}{%% endfor %%}%s"
HUGE = {
    "multiplied text": "{{ 'a' * 6000000000 }}",
    "multiplied by text": "{{ 6000000000 * 'a' }}",
    "multiplied list": "{{ ([1] * 6000000000) | length }}",
    "multiplied tuple": "{{ ((1, 2) * 6000000000) | length }}",
    "multiplied bytes": "{{ ('a'.encode() * 6000000000) | length }}",
    "true multiplied": "{{ 'a' * ((true + true) ** 40) }}",
    "multiplied range": "{{ range(6000000000) | length }}",
    "power": "{{ 7 ** 10000000000 }}",
    "powers of powers": DOUBLED % ("7", "ns.x * ns.x", ""),
    "doubled by +": DOUBLED % ("'a'", "ns.x + ns.x", ""),
    "doubled by ~": DOUBLED % ("'a'", "ns.x ~ ns.x", ""),
    "doubled list": DOUBLED % ("[1]", "ns.x + ns.x", ""),
    "lists of lists": DOUBLED % ("[1]", "[ns.x, ns.x]", "{{ ns.x }}"),
    "tuples of tuples": DOUBLED % ("(1,)", "(ns.x, ns.x)", "{{ ns.x == 1 }}"),
    "objects of objects": DOUBLED % ("{}", "{'a': ns.x, 'b': ns.x}", "{{ ns.x | tojson }}"),
    "objects in texts": DOUBLED % ("{}", "dict(a=ns.x, b=ns.x)", "{{ 'a' ~ ns.x }}"),
    "views of objects": DOUBLED % ("{}", "dict(a=ns.x.values(), b=ns.x.values())", "{{ ns.x.values() }}"),
    "doubled by join": DOUBLED % ("'a'", "[ns.x, ns.x] | join", ""),
    "doubled by the method join": DOUBLED % ("'a'", "''.join([ns.x, ns.x])", ""),
    "doubled by replace": DOUBLED % ("'a'", "ns.x | replace('a', 'aa')", ""),
    "doubled by the method replace": DOUBLED % ("'a'", "ns.x.replace('a', 'aa')", ""),
    "doubled by translate": DOUBLED % ("'a'", "ns.x.translate({97: 'aa'})", ""),
    "doubled by %": DOUBLED % ("'a'", "'%s%s' % (ns.x, ns.x)", ""),
    "doubled by format": DOUBLED % ("'a'", "'{0}{0}'.format(ns.x)", ""),
    "doubled by format_map": DOUBLED % ("'a'", "'{a}{a}'.format_map({'a': ns.x})", ""),
    "doubled by the filter format": DOUBLED % ("'a'", "'%s%s' | format(ns.x, ns.x)", ""),
    "doubled in a block": "{% set ns = namespace(x='a') %}{% for i in range(60) %}"
    "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    "escaped and joined": "{% autoescape true %}" + DOUBLED % ("'a'", "ns.x ~ ns.x", "") + "{% endautoescape %}",
    "ljust": "{{ 'a'.ljust(6000000000) }}",
    "rjust": "{{ 'a'.rjust(6000000000) }}",
    "center": "{{ 'a'.center(6000000000) }}",
    "zfill": "{{ 'a'.zfill(6000000000) }}",
    "bytes": "{{ (1).to_bytes(6000000000, 'big') | length }}",
    "bytes by name": "{{ (1).to_bytes(length=6000000000, byteorder='big') | length }}",
    "tabs": "{{ '\t'.expandtabs(6000000000) }}",
    "% width": "{{ '%6000000000d' % 1 }}",
    "% named width": "{{ '%(a)6000000000d' % {'a': 1} }}",
    "% precision": "{{ '%.6000000000f' % 1 }}",
    "% width by argument": "{{ '%*d' % (600000000, 1) }}",
    "format width": "{{ '{:6000000000}'.format(1) }}",
    "format precision": "{{ '{:.600000000f}'.format(1.5) }}",
    "format width by argument": "{{ '{:{}}'.format(1, 6000000000) }}",
    "filter center": "{{ 'a' | center(6000000000) }}",
    "filter center by name": "{{ 'a' | center(width=6000000000) }}",
    "filter indent": "{{ 'a\nb' | indent(6000000000) }}",
    "filter indent with text": "{{ ('\n' * 99999) | indent('a' * 99999) }}",
    "filter batch": "{{ [1] | batch(6000000000, 0) | list | length }}",
    "filter slice": "{{ [1] | slice(6000000000, 0) | list | length }}",
    "filter wordwrap": "{{ ('a' * 99999) | wordwrap(1, true, 'a' * 99999) | length }}",
    "filter join": "{{ range(2000) | join('a' * 99999) }}",
    "filter join of texts": "{{ range(2000) | map('string') | join('a' * 99999) }}",
    "method join": "{{ ('a' * 99999).join('a' * 99999) }}",
    "filters by map": "{{ ['a'] | map('center', 6000000000) | list | length }}",
    "output": "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
    "output of a macro": "{% macro m() %}{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxx{{ a }}"
    "{% endfor %}{% endfor %}{% endmacro %}{{ m() }}",
}
OTHERWISE_REFUSED = {
    "json indent": "{{ [[1]] | tojson(indent=6000000000) }}",
    "json separators": "{{ [1, 2] | tojson(separators=('a' * 99999, ':')) }}",
    "sum of lists": "{{ ([[1] * 999] * 9) | sum(start=[]) }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "object with itself": "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    "words": "{{ lipsum(n=6000000000) }}",
}


def refusal_of(template: str) -> str:
    """Return the reason of a template's refusal."""
    with pytest.raises(TemplateRefusedError) as refused:
        ChatTemplate(template, bos="", eos="").render([USER])
    return str(refused.value)


@pytest.mark.parametrize("template", HUGE.values(), ids=HUGE)
def test_template_that_makes_huge_values_is_refused(template: str) -> None:
    reason = refusal_of(template)
    assert "too large" in reason or "Range too big" in reason


@pytest.mark.parametrize("template", OTHERWISE_REFUSED.values(), ids=OTHERWISE_REFUSED)
def test_template_with_other_excesses_is_refused(template: str) -> None:
    refusal_of(template)


HARMLESS = {
    "{{ '-' * 40 }}": "-" * 40,
    "{{ 2 ** 10 + 3 * 4 % 5 }}": "1026",
    "{{ [1] + [2, 3] }}": "[1, 2, 3]",
    "{{ 'a' ~ 1 ~ none ~ [true] }}": "a1None[True]",
    "{{ '%s is %5.1f' % ('x', 2) }}": "x is   2.0",
    "{{ '%(a)s' % {'a': 20240101} }}": "20240101",
    "{{ 'Date: 20240101 {}'.format(1) }}": "Date: 20240101 1",
    "{{ '{a}-{b:>3}'.format(a=1, b=2) }}": "1-  2",
    "{{ '%s-%s' | format(1, 2) }}": "1-2",
    "{{ [1, 2] | join(', ') }}": "1, 2",
    "{{ (1, 'a') }}": "(1, 'a')",
    "{{ {'a': [1, {'b': none}]} }}": "{'a': [1, {'b': None}]}",
    "{{ {'a': [1]} | tojson(indent=2) }}": '{\n  "a": [\n    1\n  ]\n}',
    "{{ 'a\nb' | indent(2) }}": "a\n  b",
    "{{ [1, 2, 3] | batch(2) | list }}": "[[1, 2], [3]]",
    "{{ [1, 2] | sum }}": "3",
    "{% for a, b in {'x': 1} | items %}{{ a }}{{ b }}{% endfor %}": "x1",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}": "12",
    "{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('a') + m('b') }}": "<a><b>",
    "{% set x %}a{{ 1 }}{% endset %}{{ x }}": "a1",
    "{{ messages[0].content.replace('l', 'L').join(['<', '>']) }}": "<heLLo>",
    "{{ missing }}{{ messages[0].missing }}": "",
    "{{ messages | map(attribute='role') | list }}": "['user']",
    "{{ [] | length }}{{ 'abc'[1:] }}{{ [1, 2][::-1] }}": "0bc[2, 1]",
}


@pytest.mark.parametrize(("template", "text"), HARMLESS.items())
def test_ordinary_template_is_rendered(template: str, text: str) -> None:
    assert ChatTemplate(template, bos="", eos="").render([USER]) == text


def test_limits_grow_with_the_conversation() -> None:
    text = "a" * 20_000_000
    assert len(ChatTemplate("{{ messages[0].content ~ '!' }}", bos="", eos="").render([Turn("user", text)])) > len(text)
