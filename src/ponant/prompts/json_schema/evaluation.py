"""Evaluation of a schema for given values, for the values of ``enum`` and ``const``."""

from collections.abc import Callable, Iterable
from operator import ge, gt, le, lt
from typing import Any

from ponant.prompts.json_schema.document import Document, UnusableSchemaError
from ponant.prompts.json_schema.values import canonical, kind

_DEEPEST = 16
_MOST_INTEGERS = 30

Verdict = bool | None
"""True or False if a value satisfies a schema or does not; None if that is not known."""


class Evaluation:
    """Evaluation of the subschemas of one schema."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def holds(self, schema: Any, value: Any, depth: int = 0) -> Verdict:
        """Return the verdict on a value."""
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return None
        keywords = self._document.asserting(schema)
        return _all(self._keyword(keywords, keyword, value, depth + 1) for keyword in keywords)

    def candidates(self, schema: Any, depth: int = 0) -> list[Any] | None:
        """Return values among which are all that satisfy a schema; None if these are many or unknown."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return None
        keywords = self._document.asserting(schema)
        if isinstance(keywords.get("enum"), list):
            return list(keywords["enum"])
        if "const" in keywords:
            return [keywords["const"]]
        if "$ref" in keywords:
            try:
                return self.candidates(self._document.resolve(keywords["$ref"])[0], depth + 1)
            except UnusableSchemaError:
                return None
        for keyword in ("anyOf", "oneOf"):
            if isinstance(keywords.get(keyword), list):
                return _together([self.candidates(part, depth + 1) for part in keywords[keyword]])
        named = keywords.get("type")
        names = [named] if isinstance(named, str) else named if isinstance(named, list) else [None]
        return _together([_all_of_type(name, keywords) for name in names])

    def _keyword(self, keywords: dict[str, Any], keyword: str, value: Any, depth: int) -> Verdict:
        named = keywords[keyword]
        try:
            match keyword:
                case "type":
                    return any(_is_of(value, name) for name in ([named] if isinstance(named, str) else named))
                case "const":
                    return canonical(value) == canonical(named)
                case "enum":
                    return canonical(value) in map(canonical, named)
                case "allOf":
                    return _all(self.holds(part, value, depth) for part in named)
                case "anyOf":
                    return _any(self.holds(part, value, depth) for part in named)
                case "oneOf":
                    return _one(self.holds(part, value, depth) for part in named)
                case "not":
                    return _not(self.holds(named, value, depth))
                case "$ref":
                    return self.holds(self._document.resolve(named)[0], value, depth)
                case "if":
                    found = self.holds(named, value, depth)
                    then = "then" if found else "else"
                    return None if found is None else self.holds(keywords.get(then, True), value, depth)
                case "then" | "else":
                    return True
            return self._of_kind(keywords, keyword, value, depth)
        except (TypeError, ValueError, OverflowError, UnusableSchemaError):
            return None

    def _of_kind(self, keywords: dict[str, Any], keyword: str, value: Any, depth: int) -> Verdict:
        """Return the verdict of a keyword for values of one type."""
        named = keywords[keyword]
        wanted, compare = _COMPARED.get(keyword, ("", None))
        if compare is not None:
            if kind(value) != wanted:
                return True
            known = isinstance(named, int | float) and not isinstance(named, bool)
            flagged = keyword in ("minimum", "maximum") and isinstance(keywords.get(_EXCLUSIVE[keyword]), bool)
            return compare(value if wanted == "number" else len(value), named) if known and not flagged else None
        match keyword:
            case "pattern" | "multipleOf" | "format":
                return None if kind(value) == ("number" if keyword == "multipleOf" else "string") else True
            case "required":
                return kind(value) != "object" or all(name in value for name in named)
            case "properties":
                if kind(value) != "object":
                    return True
                return _all(self.holds(named[name], part, depth) for name, part in value.items() if name in named)
            case "items" if isinstance(named, dict | bool) and "prefixItems" not in keywords:
                return kind(value) != "array" or _all(self.holds(named, item, depth) for item in value)
            case "uniqueItems":
                return kind(value) != "array" or not named or len(set(map(canonical, value))) == len(value)
        return None


_EXCLUSIVE = {"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}
_COMPARED: dict[str, tuple[str, Callable[[Any, Any], bool] | None]] = {
    "minimum": ("number", ge),
    "maximum": ("number", le),
    "exclusiveMinimum": ("number", gt),
    "exclusiveMaximum": ("number", lt),
    "minLength": ("string", ge),
    "maxLength": ("string", le),
    "minItems": ("array", ge),
    "maxItems": ("array", le),
    "minProperties": ("object", ge),
    "maxProperties": ("object", le),
}
"""Type of the values that a keyword restricts, and the comparison of the value, or its length, with the keyword's."""


def _together(found: list[list[Any] | None]) -> list[Any] | None:
    values: list[Any] = []
    for more in found:
        if more is None:
            return None
        values += more
    return values


def _all_of_type(name: Any, keywords: dict[str, Any]) -> list[Any] | None:
    """Return all values of a type; None if they are many."""
    match name:
        case "null":
            return [None]
        case "boolean":
            return [True, False]
        case "integer":
            low, high = keywords.get("minimum"), keywords.get("maximum")
            if type(low) is int and type(high) is int and high - low < _MOST_INTEGERS:
                return list(range(low, high + 1))
    return None


def _is_of(value: Any, name: Any) -> bool:
    if name == "integer":  # also a float without a fraction, from draft-06 on
        return kind(value) == "number" and bool(value == int(value))
    return bool(kind(value) == name)


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    known = list(verdicts)
    return False if False in known else None if None in known else True


def _any(verdicts: Iterable[Verdict]) -> Verdict:
    known = list(verdicts)
    return True if True in known else None if None in known else False


def _one(verdicts: Iterable[Verdict]) -> Verdict:
    known = list(verdicts)
    if known.count(True) > 1:
        return False
    return None if None in known else known.count(True) == 1


def _not(verdict: Verdict) -> Verdict:
    return None if verdict is None else not verdict
