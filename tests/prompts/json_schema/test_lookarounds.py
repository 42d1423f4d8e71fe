"""Lookarounds and word boundaries in regular expressions of schemas, as generators of schemas write them."""

import re
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.prompts.json_schema.patterns import name_pattern, translate_patterns
from ponant.prompts.json_schema.scanner import PatternError
from tests.json_grammar import accepts, documents, matcher_of

LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
EXPRESSIONS: dict[str, tuple[str, list[str], list[str]]] = {
    "zod: e-mail": (
        r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$",
        ["a@b.co", "first.last+tag@sub.example.org"],
        [".a@b.co", "a..b@c.de", "a.@b.co", "a@b", "a@-b.co"],
    ),
    "zod: duration": (
        r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$",
        ["P3W", "P1Y2M3DT4H5M6.7S", "PT1S", "P1D"],
        ["P", "PT", "P1DT", "P1Y2W", "1D", "P1D "],
    ),
    "a duration that is not empty": (
        r"^P(?!$)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?$",
        ["P1W", "PT5M"],
        ["P", "PT", "P5"],
    ),
    "pydantic: decimal": (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", ["1", "-0.5", "+10.", ".5"], ["", "-", ".", "1e5", "--1"]),
    "pydantic: decimal with limits": (
        r"^(?!^[-+.]*$)[+-]?0*(?:\d{0,3}$|(?=[\d.]{1,6}0*$)\d{0,3}\.\d{0,2}0*$)",
        ["123", "-12.30", "0001.2300"],
        ["", ".", "1234", "1.234", "-"],
    ),
    "a password": (
        r"^(?=.*[A-Z])(?=.*[a-z])(?=.*\d)(?=.*[^\w\s]).{8,16}$",
        ["Passw0rd!", "aB3$aB3$"],
        ["password", "Passw0rd", "aB3$aB3", "aB3$" * 5, "AB3$AB3$"],
    ),
    "a password without anchors": (r"(?=.*\d)(?=.*[a-z]).{8,}", ["abcdefg1", "1 bcdefgh"], ["abcdefgh", "abc1"]),
    "a password in a group": (
        r"^((?=.*\d)(?=.*[A-Z])(?=.*\W)(?:.{8,30}))$",
        ["PASSW0R!", "A1-" * 10],
        ["PASSW0RD", "PASSWOR!", "A1-"],
    ),
    "a name without a word": (r"^(?!admin|root)[a-z]{3,16}$", ["foobar", "adm", "xadmin"], ["admin", "rooted", "ab"]),
    "no double hyphen": (r"^[a-z](?!.*--)[a-z0-9-]{1,61}[a-z0-9]$", ["a-b", "abc"], ["a--b", "a-", "ab-" * 22]),
    "a host name": (
        rf"^(?=.{{1,20}}\.?$){LABEL}(?:\.{LABEL})*\.?$",
        ["localhost", "a-b.example.", "a" * 20],
        ["-a", "a-.b", "a..b", "a." * 11, ""],
    ),
    "a label": (r"^(?!-)[A-Za-z0-9-]{1,63}(?<!-)$", ["a", "a-b", "a" * 63], ["-a", "a-", "a" * 64, ""]),
    "labels": (
        r"^((?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+[A-Za-z]{2,6}$",
        ["example.com", "a-b.c.org", f"{'a' * 63}.de"],
        ["-a.com", "a-.com", f"{'a' * 64}.de", "com", "a..de", "a.museums"],
    ),
    "a top-level domain that is no number": (
        r"^(?!-)(?:[a-zA-Z\d-]{0,62}[a-zA-Z\d]\.){1,126}(?!\d+)[a-zA-Z\d]{1,63}$",
        ["a.bc", "1.a1"],
        ["a.1b", "a", "-a.b", "a-.b"],
    ),
    "a user name": (r"^[a-z\d](?:[a-z\d]|-(?=[a-z\d])){0,38}$", ["a", "a-b", "a" * 39], ["a-", "a--b", "-a", "a" * 40]),
    "an anchor after a lookahead": (r"(?!(^xn--|.+-x$))^[a-z0-9][a-z0-9-]{1,9}$", ["abc", "xn-a"], ["xn--a", "ab-x"]),
    "not blank": (r"^(?!\s*$).+", ["a", " a ", "-"], ["", "  ", "\t"]),
    "text without a word": ("^(?:(?!foo).)*$", ["", "bar", "fo", "ffo"], ["foo", "a foo"]),
    "a word": (r"\bfoo\b", ["foo", "a foo.", "-foo-"], ["foobar", "xfoo", "foo_", "éfoo", "fooé"]),
    "a date": (r"^\d{4}-\d\d\b", ["2024-05", "2024-05-01", "2024-05 x"], ["2024-051", "2024-05é"]),
    "within a word": (r"a\Bb", ["ab", "cabc"], ["a b", "a"]),
    "octets": (
        r"^((25[0-5]|(2[0-4]|1\d|[1-9]|)\d)\.?\b){4}$",
        ["1.2.3.4", "192.168.1.255"],
        ["1.2.3", "1.2.3.256", "1.2.3.4."],
    ),
    "after a comma": (r"(?<=,)[a-z]+(?=,|$)", ["1,a", ",ab,"], ["a", "a,1"]),
    "no digit afterwards": (r"^\d{1,3}(?:,\d{3})*(?!\d)", ["1,234", "12x"], ["1234"]),
    "a number of parts": (
        r"^(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}$",
        ["123-45-6789"],
        ["000-12-3456", "666-12-3456", "912-12-3456", "123-00-4567", "123-45-0000"],
    ),
    "any case": (r"(?i)^(?!test)\w+$", ["tes", "atest"], ["Test", "TESTED"]),
    "an address of the web": (
        r"^https?:\/\/(?:www\.)?[-a-zA-Z0-9@:%._\+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b(?:[-a-zA-Z0-9()@:%_\+.~#?&\/=]*)$",
        ["https://www.example.org/a?b=c", "http://example.co", "http://a.b((/"],
        ["https://example", "http://a.))", "example.org", "https://example.org/a b"],
    ),
    "a short name": (r"^(?!\d)\w{2,20}\b(?!\s)", ["ab", "a1-x"], ["1a", "a", "ab c", "a" * 21]),
    "numerals": (
        r"^(?=[MDCLXVI])M*(C[MD]|D?C{0,3})(X[CL]|L?X{0,3})(I[XV]|V?I{0,3})$",
        ["XIV", "M"],
        ["", "IIII", "IC"],
    ),
}


@pytest.mark.parametrize(("pattern", "taken", "refused"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_expression_of_a_generator(pattern: str, taken: list[str], refused: list[str]) -> None:
    matcher = matcher_of({"type": "string", "pattern": pattern})
    compiled = re.compile(pattern)
    assert [text for text in taken if not compiled.search(text) or not accepts(matcher, text)] == []
    assert [text for text in refused if accepts(matcher, text)] == []
    for text in documents(matcher, count=5, steps=150):
        assert compiled.search(text), text


def in_ecmascript(pattern: str) -> re.Pattern[str]:
    r"""Return an expression that means in Python what the pattern means in ECMAScript."""
    written, in_class = "", False
    others = {"$": r"\Z", ".": "[^\n\r\u2028\u2029]"}
    for before, character in pairwise(f" {pattern}"):
        if before != "\\":
            in_class = character == "[" or (in_class and character != "]")
            written += character if in_class else others.get(character, character)
        else:
            written += character
    return re.compile(written, re.ASCII)


atoms = st.sampled_from(["a", "b", "-", r"\d", r"\w", r"\W", r"\s", ".", "[^a]", "[ab]", r"[\w-]"])
assertions = st.sampled_from(
    [r"\b", r"\B", "(?!a)", "(?=b)", "(?<!-)", r"(?<=\w)", r"(?!.*b)", r"(?=\w*-)", "(?!$)", "^", "$"]
)
expressions = st.recursive(
    st.one_of(atoms, atoms, assertions),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=2).map(lambda both: f"(?:{both[0]}|{both[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}"])).map(lambda both: f"(?:{both[0]}){both[1]}"),
        st.tuples(st.sampled_from("=!"), inner).map(lambda both: f"(?{both[0]}{both[1]})"),
    ),
    max_leaves=6,
)


@pytest.mark.filterwarnings("ignore:Possible")
@settings(deadline=None, max_examples=40)
@given(expression=expressions, texts=st.lists(st.text("ab-0 é_\n", max_size=5), min_size=12, max_size=12))
def test_expression_matches_what_all_dialects_match(expression: str, texts: list[str]) -> None:
    try:
        in_all = all(re.compile(part) for part in translate_patterns(expression))
        matcher = matcher_of({"type": "string", "pattern": expression})
    except (PatternError, AssertionError, re.error):
        return
    assert in_all
    python, ecmascript = re.compile(expression), in_ecmascript(expression)
    for text in texts:
        if accepts(matcher, text):
            assert python.search(text)
            assert ecmascript.search(text)


def test_names_of_properties_may_have_lookaheads() -> None:
    schema = {
        "type": "object",
        "patternProperties": {"^(?!x-)[a-z-]+$": {"type": "integer"}, "^x-": {"type": "string"}},
        "additionalProperties": False,
    }
    matcher = matcher_of(schema)
    assert accepts(matcher, {"a": 1, "x-a": "b"})
    assert not accepts(matcher, {"x-a": 1})
    assert not accepts(matcher, {"a": "b"})
    found = name_pattern(r"^a\b")
    assert found.ambiguous
    assert found.narrow != found.wide
    named = matcher_of({"type": "object", "propertyNames": {"pattern": "^(?!.*--)[a-z-]+$"}})
    assert accepts(named, {"a-b": 1})
    assert not accepts(named, {"a--b": 1})


@pytest.mark.parametrize(
    "pattern",
    [r"^(?!.*(.)\1)a", r"(?<=a(?=b))b", r"(?=a)*b", r"^(?=\p{L})a", "(?!a", "(?=[a)", "a(?!b))", r"(?=\Z)a"],
)
def test_expression_that_cannot_be_expressed_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        translate_patterns(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        f"(?!a)({'|'.join(f'(.*x.{{{n}}})' for n in range(60))})",
        "".join(f"(?:(?=.*a.{{{n}}})b)*" for n in range(40)),
        f"^(?:{'(?!a)(?:' * 60}b{')*' * 60})$",
        "(?!" * 1000 + "a" + ")" * 1000,
        r"(?:\b.{1,1000}){1,1000}",
        "(?=a)" * 400,
    ],
)
def test_hostile_expression_is_short_or_refused(pattern: str) -> None:
    with suppress(PatternError):
        assert sum(map(len, translate_patterns(pattern))) < 20_000
