"""Grammars of schemas allow only documents that the schema allows."""

import json
import re
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ponant.prompts.json_schema.document import UnusableSchemaError
from ponant.prompts.json_schema.patterns import translate_pattern
from ponant.prompts.json_schema.rules import json_rules
from ponant.prompts.json_schema.scanner import PatternError
from tests.json_grammar import accepts, documents, matcher_of
from tests.soak import examples

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
TWENTY = [f"v{number}" for number in range(20)]
CAT = {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["lives"]}
DOG = {"type": "object", "properties": {"kind": {"const": "dog"}, "lives": {"type": "integer"}}, "required": ["lives"]}
US_OR_NOT = {
    "type": "object",
    "properties": {"country": {"type": "string"}, "zip": {"type": "string"}},
    "required": ["country", "zip"],
    "if": {"properties": {"country": {"const": "US"}}},
    "then": {"properties": {"zip": {"pattern": "^[0-9]{5}$"}}},
    "else": {"properties": {"zip": {"pattern": "^[A-Z]{2}$"}}},
}


@pytest.mark.filterwarnings("ignore:Possible set")
@pytest.mark.parametrize(
    ("schema", "taken", "refused"),
    [
        pytest.param(
            {"properties": {"abc": {"type": "integer"}}},
            [{"abc": 1}, {"abcd": "x"}],
            [b'{"\\u0061bc": "x"}', {"abc": "x"}],
            id="a property has one name",
        ),
        pytest.param(
            {"type": "object", "minProperties": 1, "properties": {"a": {"type": "integer"}}},
            [{"a": 1}, {"z": 1}, {"a": 1, "z": 1}],
            [{}],
            id="at least one property",
        ),
        pytest.param(
            {"properties": {"a": {}, "b": {}}, "maxProperties": 1, "additionalProperties": False, "type": "object"},
            [{}, {"a": 1}, {"b": 1}],
            [{"a": 1, "b": 1}, {"z": 1}],
            id="at most one property",
        ),
        pytest.param(
            {"items": [{"type": "integer"}], "anyOf": [True], "additionalItems": False, "$schema": DRAFT_7},
            [[], [1]],
            [[1, 2], ["a"]],
            id="a tuple of an older draft",
        ),
        pytest.param(
            {"prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "type": "array", "$schema": DRAFT_7},
            [[1, 2]],
            [["a"], ["a", 1]],
            id="a word that the draft does not know",
        ),
        pytest.param(
            {"minimum": 5, "anyOf": [True], "exclusiveMinimum": True, "type": "number", "$schema": DRAFT_4},
            [6, 5.1],
            [5, 5.0, b"5.00000000000000000001"],
            id="an exclusive bound of draft-04",
        ),
        pytest.param(
            {"exclusiveMinimum": 1, "maximum": 1.5, "type": "number"},
            [1.1, 1.5],
            [1, b"1.00000000000000000000001", b"1.51"],
            id="an exclusive bound",
        ),
        pytest.param(
            {"type": "integer", "minimum": 9007199254740993},
            [9223372036854775807],
            [9007199254740992],
            id="a bound beyond doubles",
        ),
        pytest.param(
            {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
            [0, 1786000000000000000, -1786000000000000000],
            [2**63, -(2**63) - 1],
            id="the bounds of 64 bits",
        ),
        pytest.param({"type": "number", "multipleOf": 0.25}, [1, 0.75, -0.25], [0.3, 1e5 + 0.1], id="quarters"),
        pytest.param({"enum": [1, 2**60 + 1]}, [1], [2**60 + 1, 2**60], id="a number beyond doubles"),
        pytest.param(
            {"enum": ["a", "\x01", None, True, [1, "b"], {"c": 1}]},
            ["a", None, True, [1, "b"], {"c": 1}],
            ["\x01", "b", False, 1, [1], {}],
            id="values of all types",
        ),
        pytest.param(
            {"type": "string", "pattern": '^[^"]*$'}, ["", "a\\b", "é\n"], ['"', 'a"b', 1], id="no quotation marks"
        ),
        pytest.param({"type": "string", "pattern": r"^[\w&&\d]$"}, ["a", "&", "_"], ["-", "é", "aa"], id="a class"),
        pytest.param({"type": "string", "pattern": "^.$"}, ["a", "漢", "😀"], ["\n", "\r", "\u2028", "ab"], id="a dot"),
        pytest.param(
            {"type": "string", "minLength": 2, "maxLength": 2}, ["ab", "😀漢", '"\n'], ["😀", "abc"], id="length"
        ),
        pytest.param({"type": "string", "format": "stars"}, ["any"], [1], id="an unknown format"),
        pytest.param(
            {"type": "object", "patternProperties": {r"^\w+$": {"type": "integer"}}},
            [{"a": 1}, {"é": 1}, {"-": "x"}],
            [{"a": "x"}, {"é": "x"}, {"a\n": "x"}],
            id="names that some take for a match",
        ),
        pytest.param(
            {"type": "object", "patternProperties": {r"^\w+$": {"type": "integer"}}, "additionalProperties": False},
            [{"a": 1}, {}],
            [{"é": 1}, {"a": "x"}, {"-": 1}],
            id="names that all take for a match",
        ),
        pytest.param(
            {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}, "properties": {"a": {"type": "integer"}}},
            [{"a": 1}, {"b": "x"}],
            [{"a": "x"}, {"A": 1}],
            id="names",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "dependentRequired": {"a": ["b"]}},
            [{"b": 1}, {"a": 1, "b": 1}, {"c": 1}],
            [{"a": 1}, {"a": 1, "c": 1}],
            id="a property that needs another",
        ),
        pytest.param(
            {"$ref": "#/$defs/a", "minLength": 2, "$defs": {"a": {"type": "string"}}},
            ["ab"],
            ["a", 1],
            id="keywords next to a reference",
        ),
        pytest.param(
            {"$ref": "#/definitions/a", "minLength": 2, "definitions": {"a": {"type": "string"}}, "$schema": DRAFT_7},
            ["ab", "a"],
            [1],
            id="keywords next to a reference of draft-07",
        ),
        pytest.param(
            {
                "$defs": {"base": {"properties": {"a": {"type": "integer"}}}},
                "type": "object",
                "allOf": [{"$ref": "#/$defs/base"}],
                "properties": {"b": {}},
                "unevaluatedProperties": False,
            },
            [{}, {"a": 1}, {"b": 1}],
            [{"a": "x"}, {"c": 1}],
            id="properties that something else evaluates",
        ),
        pytest.param(
            {"oneOf": [CAT, DOG]},
            [{"kind": "cat", "lives": 9}, {"kind": "dog", "lives": 1}],
            [{"lives": 9}, {"kind": "cow", "lives": 1}, {"kind": "cat"}],
            id="alternatives distinguished by an optional property",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            [{"a": 1}, {"b": 1}],
            [{}, {"a": 1, "b": 1}],
            id="one of two properties",
        ),
        pytest.param(
            {"oneOf": [{"type": "integer"}, {"minimum": 2}]}, [1, "a"], [2, 3, 1.5], id="alternatives that overlap"
        ),
        pytest.param(
            {"type": "string", "not": {"enum": ["ab", "b", ""]}},
            ["a", "abc", "c", "é"],
            ["ab", "b", "", 1],
            id="all texts but these",
        ),
        pytest.param(
            US_OR_NOT,
            [{"country": "US", "zip": "12345"}, {"country": "FR", "zip": "AB"}],
            [{"country": "US", "zip": "AB"}, {"country": "FR", "zip": "12345"}],
            id="a condition",
        ),
        pytest.param(
            {"type": "array", "uniqueItems": True, "items": {"enum": ["a", "b", 3]}},
            [[], ["a"], ["b", "a"], ["a", 3, "b"], [3, "b", "a"]],
            [["a", "a"], ["a", "b", "a"], ["c"]],
            id="different items in any order",
        ),
        pytest.param(
            {"type": "array", "uniqueItems": True, "items": {"enum": list("abcdefghi")}, "minItems": 2},
            [["a", "b"], list("abcdefghi"), ["c", "h"]],
            [["a", "a"], ["a"], ["c", "a", "c"]],
            id="different items of many",
        ),
        pytest.param(
            {"uniqueItems": True, "items": {"$ref": "#/$defs/a"}, "maxItems": 2, "$defs": {"a": {"enum": TWENTY}}},
            [["v1", "v0"], ["v19"], "text"],
            [["v1", "v1"], ["v1", "v2", "v3"], ["v20"]],
            id="two different items of a definition",
        ),
        pytest.param(
            {"type": "array", "uniqueItems": True, "items": {"type": ["integer", "null"], "minimum": 1, "maximum": 3}},
            [[3, 1], [2, None, 1]],
            [[1, 1], [4]],
            id="different numbers",
        ),
        pytest.param(
            {"type": ["object", "null"], "properties": {"next": {"$ref": "#"}}, "additionalProperties": False},
            [None, {}, {"next": {"next": None}}],
            [{"next": 1}],
            id="a schema within itself",
        ),
    ],
)
def test_grammar_takes_what_the_schema_allows(schema: dict[str, Any], taken: list[Any], refused: list[Any]) -> None:
    matcher = matcher_of(schema)
    assert [document for document in taken if not accepts(matcher, document)] == []
    assert [document for document in refused if accepts(matcher, document)] == []
    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)(schema)
    for document in [*taken, *documents(matcher, count=10)]:
        validator.validate(document)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        pytest.param({"properties": {"a": {"uniqueItems": True}}}, ("properties", "a"), id="unique items"),
        pytest.param({"items": {"contains": {}}}, ("items",), id="contains"),
        pytest.param({"contains": {}, "minContains": 0, "$schema": DRAFT_7}, (), id="a way out of another draft"),
        pytest.param({"$dynamicRef": "#a"}, (), id="a dynamic reference"),
        pytest.param({"$ref": "#a", "$defs": {"a": {"$anchor": "a"}}}, (), id="an anchor"),
        pytest.param({"$defs": {"a": {"$id": "b", "$ref": "#/c"}}, "$ref": "#/$defs/a"}, ("$defs", "a"), id="an id"),
        pytest.param({"minProperties": 2}, (), id="properties that may come twice"),
        pytest.param(
            {"properties": {"a": {}, "b": {}}, "maxProperties": 1}, (), id="properties that cannot be counted"
        ),
        pytest.param({"oneOf": [{"type": "string", "pattern": "a"}, {"type": "string"}]}, (), id="one text or another"),
        pytest.param({"not": {"items": {"type": "string"}}}, (), id="not"),
        pytest.param({"if": {"pattern": "a"}, "then": {"minLength": 3}}, (), id="if"),
        pytest.param({"allOf": [{"multipleOf": 65537}, {"multipleOf": 65539}]}, (), id="divisors"),
        pytest.param({"const": 2**53 + 1}, (), id="a number"),
        pytest.param({"const": "\x00"}, (), id="a character"),
        pytest.param({"type": "any"}, (), id="a type"),
        pytest.param({"required": True}, (), id="a flag of draft-03"),
        pytest.param({"$schema": "http://json-schema.org/draft-03/schema#"}, (), id="draft-03"),
        pytest.param({"unevaluatedProperties": False, "anyOf": [{"properties": {"a": {}}}, {}]}, (), id="unevaluated"),
        pytest.param({"patternProperties": {r"\w": {}}, "additionalProperties": {"type": "null"}}, (), id="names"),
    ],
)
def test_what_cannot_be_followed_is_refused_where_it_is(schema: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(UnusableSchemaError) as info:
        json_rules([schema])
    assert info.value.path == path


@pytest.mark.parametrize(
    ("schema", "taken", "refused"),
    [
        ({"type": "string", "pattern": r"(a)\1", "maxLength": 2}, ["b"], ["abc", 1]),
        ({"type": "array", "uniqueItems": True, "maxItems": 30, "items": {"type": "string"}}, [["a", "a"]], [[1]]),
        ({"type": "number", "multipleOf": 0.01, "maximum": 1}, [0.5], [2]),
        ({"type": "string", "oneOf": [{"pattern": "a"}, {"pattern": "b"}]}, ["ab", "a"], ["c", 1]),
        ({"type": "object", "required": ["a"], "minProperties": 4}, [{"a": 1}], [{}]),
        ({"type": "object", "if": {"items": False}, "then": {"required": ["a"]}, "required": ["b"]}, [{"b": 1}], [{}]),
    ],
)
def test_keyword_that_cannot_be_enforced_is_left_out_alone(
    schema: dict[str, Any], taken: list[Any], refused: list[Any]
) -> None:
    with pytest.raises(UnusableSchemaError):
        json_rules([schema])
    matcher = matcher_of(schema, strict=False)
    assert [document for document in taken if not accepts(matcher, document)] == []
    assert [document for document in refused if accepts(matcher, document)] == []


numbers = st.one_of(
    st.integers(-30, 30),
    st.integers(2**53 - 3, 2**53 + 3),
    st.integers(-(10**30), 10**30),
    st.floats(-3, 3),
    st.sampled_from([0.1, 0.29999999999999999, 1e-30, -1e-30, 1e300, 2**63 - 1, -(2**63), 1.0000000000000002]),
)
ranges = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])},
    optional=dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), numbers),
)


@settings(deadline=None, max_examples=examples(150))
@given(schema=ranges)
def test_bounds_hold_for_who_reads_doubles(schema: dict[str, Any]) -> None:
    bounds = [Decimal(str(bound)) for word, bound in schema.items() if word != "type"]
    try:
        matcher = matcher_of(schema)
    except AssertionError:
        return
    validator = jsonschema.Draft202012Validator(schema)
    for bound in [*bounds, Decimal(0)]:
        for step in ("0", "1", "-1", "1E-17", "-1E-17", "1E-25", "-1E-25"):
            text = format(bound + Decimal(step), "f")
            if accepts(matcher, text.encode()):
                validator.validate(json.loads(text))


pieces = st.sampled_from(
    ["a", "b", "é", '"', r"\\", r"\d", r"\w", r"\W", r"\S", r"\s", ".", "[^a]", '[^"]', r"[^\w]", "[a&&b]", "[[a]", "-"]
)
expressions = st.recursive(
    pieces,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=2).map(lambda both: f"(?:{both[0]}|{both[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}"])).map(lambda both: f"(?:{both[0]}){both[1]}"),
    ),
    max_leaves=5,
)


@pytest.mark.filterwarnings("ignore:Possible")
@settings(deadline=None, max_examples=examples(150))
@given(
    expression=expressions,
    anchors=st.sampled_from([("", ""), ("^", ""), ("", "$"), ("^", "$")]),
    texts=st.lists(st.text('ab"\\é-&[\n\r_0 ٣', max_size=4), min_size=10, max_size=10),
)
def test_regular_expression_matches_no_more_than_it_says(
    expression: str, anchors: tuple[str, str], texts: list[str]
) -> None:
    pattern = expression.join(anchors)
    try:
        matcher = matcher_of({"type": "string", "pattern": pattern})
    except (UnusableSchemaError, AssertionError):
        assume(False)
    compiled = re.compile(pattern)
    for text in [*texts, *documents(matcher, count=2, steps=60)]:
        if accepts(matcher, text):
            assert compiled.search(text)


@pytest.mark.parametrize(
    "pattern",
    [r"(a)\1", "a{,2}", "a*+", "[]a]", r"\Z", r"\cA", r"\ud800", "[b-a]", "[a", "a\\"],
)
def test_regular_expression_that_readers_do_not_agree_on_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        translate_pattern(pattern)


def test_schemas_that_differ_in_order_alone_have_documents_of_their_own_order() -> None:
    properties = {"a": {"const": 1}, "b": {"const": 1.5}}
    for names in (["a", "b"], ["b", "a"]):
        schema = {"type": "object", "properties": {name: properties[name] for name in names}, "required": names}
        assert [*json.loads(json_rules([schema])[0].removeprefix("%json "))["properties"]] == names
