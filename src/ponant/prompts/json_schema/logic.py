"""Conclusions from schemas alone: disjointness and negation."""

from collections.abc import Sequence
from typing import Any

from ponant.prompts.json_schema.document import Document, UnusableSchemaError
from ponant.prompts.json_schema.numbers import bounds
from ponant.prompts.json_schema.patterns import other_than
from ponant.prompts.json_schema.values import TYPES, canonical, kind

Schema = dict[str, Any] | bool

INTEGER: Schema = {"type": "integer"}
FRACTION: Schema = {"type": "number", "not": INTEGER}
"""Schema of numbers that are not integers, which the translation writes out."""

_MOST_STEPS = 50_000
_DEEPEST = 8
_VIOLATED_ITEMS = 2
"""Number of the first items of which one violates the schema of all items."""
_LONGEST_TEXTS = 5_000
"""Maximum total length in characters of the strings that a schema may exclude."""
_OPPOSITES = {
    "minimum": ("number", "exclusiveMaximum", 0),
    "maximum": ("number", "exclusiveMinimum", 0),
    "exclusiveMinimum": ("number", "maximum", 0),
    "exclusiveMaximum": ("number", "minimum", 0),
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}
_WITHOUT_EFFECT_IF: dict[str, tuple[Any, ...]] = {
    "additionalProperties": (True, {}),
    "unevaluatedProperties": (True, {}),
    "items": (True, {}),
    "unevaluatedItems": (True, {}),
    "uniqueItems": (False,),
}


class Logic:
    """Conclusions about the subschemas of one schema. They are conservative: what is not certain counts as unknown."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._steps = _MOST_STEPS

    def disjoint(self, left: Sequence[Any], right: Sequence[Any], depth: int = 0) -> bool:
        """Return True if it is certain that no document satisfies all schemas of both lists."""
        all_left, all_right = self._conjuncts(left), self._conjuncts(right)
        if all_left is None or all_right is None:
            return True
        if depth > _DEEPEST or self._steps <= 0:
            return False
        types = _types(all_left) & _types(all_right)
        values, others = _values(all_left), _values(all_right)
        if not types or (values is not None and others is not None and not values & others):
            return True
        if types == {"number"} and _is_empty([*all_left, *all_right]):
            return True
        if types == {"object"} and self._objects_disjoint(all_left, all_right, depth):
            return True
        return self._branches_disjoint(all_left, all_right, depth) or self._branches_disjoint(
            all_right, all_left, depth
        )

    def marks(self, schemas: Sequence[Any]) -> dict[str, set[str]]:
        """Return the required properties that have one of several fixed values, with these values.

        Only schemas of objects have any. They distinguish most alternatives, faster than ``disjoint``.
        """
        conjuncts = self._conjuncts(schemas) or []
        marks: dict[str, set[str]] = {}
        if _types(conjuncts) != {"object"}:
            return marks
        for name in (name for keywords in conjuncts for name in _list(keywords, "required") if isinstance(name, str)):
            values = _values(self._conjuncts(_property(conjuncts, name)) or [])
            if values is not None:
                marks[name] = values
        return marks

    def negated(self, schema: Any, *, whole: bool, depth: int = 0) -> Schema | None:
        """Return a schema for documents that do not satisfy this one; None if it cannot be expressed.

        Args:
            schema: the schema to negate.
            whole: True if the result must allow all such documents. Otherwise it may allow some of them, but not only
                those of another type.
            depth: number of references, properties and so on around the schema.
        """
        if isinstance(schema, bool):
            return not schema
        self._steps -= 1
        if not isinstance(schema, dict) or depth > 4 * _DEEPEST or self._steps <= 0:
            return None
        ways: list[Schema] = []
        useful, complete = False, True
        for keyword, value in self._document.asserting(schema).items():
            if keyword == "prefixItems" or (keyword == "items" and isinstance(value, list)):
                failing = self._failing_places(value, whole=whole, depth=depth + 1)
            elif keyword == "items" and not whole and "prefixItems" not in schema:
                failing = self._failing_items(value, depth=depth + 1)
            else:
                failing = self._failing(keyword, value, whole=whole, depth=depth + 1)
            if failing is None:
                complete = False
                continue
            useful = useful or FRACTION in failing or (keyword != "type" and bool(failing))
            ways += failing
        if not complete and (whole or not useful):
            return None
        return {"anyOf": ways} if ways else False

    def without_fractions(self, negation: Schema, schemas: Sequence[Any]) -> Schema:
        """Return a negation without numbers that are not integers, if the schemas next to it exclude them."""
        if not isinstance(negation, dict) or FRACTION not in negation.get("anyOf", ()):
            return negation
        conjuncts = self._conjuncts(schemas) or []
        if all(
            "number" in _list(keywords, "type") or keywords.get("type") in (None, "number") for keywords in conjuncts
        ):
            return negation
        return {"anyOf": [way for way in negation["anyOf"] if way != FRACTION]}

    def _conjuncts(self, schemas: Sequence[Any]) -> list[dict[str, Any]] | None:
        """Return the schemas with those of their ``allOf`` and ``$ref``; None if one of them is ``false``."""
        found: list[dict[str, Any]] = []
        todo = list(schemas)
        seen: set[int] = set()
        while todo:
            self._steps -= 1
            schema = todo.pop()
            if schema is False:
                return None
            if not isinstance(schema, dict) or id(schema) in seen:
                continue
            seen.add(id(schema))
            keywords = self._document.asserting(schema)
            found.append(keywords)
            if isinstance(keywords.get("allOf"), list):
                todo += keywords["allOf"]
            if "$ref" in keywords:
                target = self._target(keywords["$ref"])
                todo += [target] if target is not None else []
        return found

    def _target(self, reference: Any) -> Any:
        try:
            return self._document.resolve(reference)[0]
        except UnusableSchemaError:
            return None

    def _objects_disjoint(self, left: list[dict[str, Any]], right: list[dict[str, Any]], depth: int) -> bool:
        names = {
            name: None for keywords in [*left, *right] for name in _list(keywords, "required") if isinstance(name, str)
        }
        return any(self.disjoint(_property(left, name), _property(right, name), depth + 1) for name in names)

    def _branches_disjoint(self, left: list[dict[str, Any]], right: list[dict[str, Any]], depth: int) -> bool:
        """Return True if all branches of an ``anyOf`` or ``oneOf`` on the left are disjoint from the right."""
        in_place = ("allOf", "anyOf", "oneOf", "$ref")
        rest = [{keyword: value for keyword, value in keywords.items() if keyword not in in_place} for keywords in left]
        alternatives = [
            branches for keywords in left for keyword in ("anyOf", "oneOf") if (branches := _list(keywords, keyword))
        ]
        return any(
            all(self.disjoint([branch, *rest], right, depth + 1) for branch in branches) for branches in alternatives
        )

    def _failing(self, keyword: str, value: Any, *, whole: bool, depth: int) -> list[Schema] | None:
        """Return schemas for the ways to violate one keyword; None if they are unknown."""
        if value in _WITHOUT_EFFECT_IF.get(keyword, ()):
            return []
        if keyword in _OPPOSITES:
            return _beyond(keyword, value)
        match keyword:
            case "type":
                return _other_types(value)
            case "const":
                return _other_values([value])
            case "enum" if isinstance(value, list):
                return _other_values(value)
            case "required" if isinstance(value, list):
                return [{"type": "object", "properties": {name: False}} for name in value if isinstance(name, str)]
            case "properties" if isinstance(value, dict):
                return self._failing_properties(value, whole=whole, depth=depth)
            case "allOf" | "anyOf" if isinstance(value, list):
                negations = [self.negated(part, whole=whole, depth=depth) for part in value]
                known = [negation for negation in negations if negation is not None]
                if (whole or keyword == "anyOf") and len(known) < len(negations):
                    return None
                return known if keyword == "allOf" else [{"allOf": known}]
            case "not":
                return [value]
            case "$ref":
                target = self._target(value)
                negation = None if target is None else self.negated(target, whole=whole, depth=depth)
                return None if negation is None else [negation]
        return None if keyword in _UNKNOWN else []

    def _failing_items(self, items: Any, *, depth: int) -> list[Schema] | None:
        """Return schemas for arrays one of whose first items violates a schema."""
        negation = self.negated(items, whole=False, depth=depth)
        if negation is None or negation is False:
            return None if negation is None else []
        return [_with_item(before, negation) for before in range(_VIOLATED_ITEMS)]

    def _failing_places(self, items: Any, *, whole: bool, depth: int) -> list[Schema] | None:
        """Return schemas for arrays one of whose items violates the schema of its place."""
        if not isinstance(items, list):
            return None
        negations = [self.negated(item, whole=whole, depth=depth) for item in items]
        if whole and None in negations:
            return None
        return [
            _with_item(before, item) for before, item in enumerate(negations) if item is not None and item is not False
        ]

    def _failing_properties(self, properties: dict[str, Any], *, whole: bool, depth: int) -> list[Schema] | None:
        ways: list[Schema] = []
        for name, schema in properties.items():
            negation = self.negated(schema, whole=whole, depth=depth)
            if negation is None and whole:
                return None
            if negation is not None and negation is not False:
                ways.append({"type": "object", "required": [name], "properties": {name: negation}})
        return ways


def _with_item(before: int, item: Schema) -> Schema:
    """Return the schema of arrays with an item after a number of others."""
    return {"type": "array", "items": [*[True] * before, item], "minItems": before + 1}


_UNKNOWN = {*_OPPOSITES, *_WITHOUT_EFFECT_IF, "enum", "required", "properties", "allOf", "anyOf", "oneOf", "if"}
_UNKNOWN |= {"pattern", "multipleOf", "contains", "additionalItems", "patternProperties"}
_UNKNOWN |= {"propertyNames", "dependentRequired", "dependentSchemas", "dependencies", "$dynamicRef", "$recursiveRef"}
"""Keywords that restrict documents and cannot be negated."""


def _list(keywords: dict[str, Any], keyword: str) -> list[Any]:
    value = keywords.get(keyword)
    return value if isinstance(value, list) else []


def _types(conjuncts: list[dict[str, Any]]) -> set[str]:
    """Return the types of documents that satisfy all of these."""
    types = set(TYPES)
    for keywords in conjuncts:
        if "type" in keywords:
            named = [keywords["type"]] if isinstance(keywords["type"], str) else _list(keywords, "type")
            types &= {"number" if name == "integer" else name for name in named if isinstance(name, str)}
        if "const" in keywords:
            types &= {kind(keywords["const"])}
        if isinstance(keywords.get("enum"), list):
            types &= {kind(value) for value in keywords["enum"]}
    return types


def _values(conjuncts: list[dict[str, Any]]) -> set[str] | None:
    """Return the canonical texts of the only values that satisfy all of these; None if they are not enumerated."""
    named = [{canonical(keywords["const"])} for keywords in conjuncts if "const" in keywords]
    named += [set(map(canonical, keywords["enum"])) for keywords in conjuncts if isinstance(keywords.get("enum"), list)]
    return set.intersection(*named) if named else None


def _property(conjuncts: list[dict[str, Any]], name: str) -> list[Any]:
    """Return the known schemas of a property."""
    found = []
    for keywords in conjuncts:
        properties = keywords.get("properties", {})
        if isinstance(properties, dict) and name in properties:
            found.append(properties[name])
        elif "additionalProperties" in keywords and "patternProperties" not in keywords:
            found.append(keywords["additionalProperties"])
    return found


def _other_types(named: Any) -> list[Schema] | None:
    names = [named] if isinstance(named, str) else named
    if not isinstance(names, list):
        return None
    others = [name for name in TYPES if name not in names and (name != "number" or "integer" not in names)]
    ways: list[Schema] = [{"type": others}] if others else []
    return [*ways, FRACTION] if "integer" in names and "number" not in names else ways


def _other_values(values: list[Any]) -> list[Schema] | None:
    """Return schemas for all other values; None if they cannot be expressed."""
    by_kind: dict[str, list[Any]] = {}
    for value in values:
        by_kind.setdefault(kind(value), []).append(value)
    texts = set(by_kind.get("string", ()))
    if "array" in by_kind or "object" in by_kind or sum(map(len, texts)) > _LONGEST_TEXTS:
        return None
    others = [name for name in TYPES if name not in by_kind]
    ways: list[Schema] = [{"type": others}] if others else []
    if texts:
        ways.append({"type": "string", "pattern": other_than(texts)})
    ways += [{"enum": [value]} for value in (True, False) if by_kind.get("boolean") == [not value]]
    if numbers := sorted(set(by_kind.get("number", ()))):
        edges = [{}, *({"exclusiveMinimum": number} for number in numbers)]
        ends = [*({"exclusiveMaximum": number} for number in numbers), {}]
        ways += [{"type": "number", **edge, **end} for edge, end in zip(edges, ends, strict=True)]
    return ways


def _beyond(keyword: str, bound: Any) -> list[Schema] | None:
    """Return schemas for the values beyond a bound; None if the bound is not a number."""
    if isinstance(bound, bool) or not isinstance(bound, int | float):
        return [] if isinstance(bound, bool) else None
    name, opposite, step = _OPPOSITES[keyword]
    return [] if bound + step < 0 and step else [{"type": name, opposite: bound + step}]


def _is_empty(conjuncts: list[dict[str, Any]]) -> bool:
    """Return True if it is certain that no number satisfies the bounds of all of these."""
    integers = any(keywords.get("type") == "integer" for keywords in conjuncts)
    try:
        both = [bounds(keywords, integers=integers) for keywords in conjuncts]
    except UnusableSchemaError:
        return False
    lows = [one["minimum"] for one in both if "minimum" in one]
    highs = [one["maximum"] for one in both if "maximum" in one]
    return bool(lows and highs) and max(lows) > min(highs)
