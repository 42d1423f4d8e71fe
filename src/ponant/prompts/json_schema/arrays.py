"""Arrays in schemas, in the words of draft 2020-12."""

from collections.abc import Callable
from typing import Any

from ponant.prompts.json_schema.document import Path, UnusableSchemaError
from ponant.prompts.json_schema.logic import Schema
from ponant.prompts.json_schema.words import count_of, list_of

_IN_PLACE = ("$ref", "allOf", "anyOf", "oneOf", "if", "contains")
_LONGEST = 2**31 - 1


def array_words(words: dict[str, Any], path: Path, subschema: Callable[[Any, Path], Schema]) -> dict[str, Any]:
    """What a subschema says of arrays. Raises UnusableSchemaError."""
    found: dict[str, Any] = {}
    for word in ("minItems", "maxItems"):
        count = count_of(words, word)
        if count is not None:
            found[word] = min(count, _LONGEST)
    first, rest = ("items", "additionalItems") if isinstance(words.get("items"), list) else ("prefixItems", "items")
    if first in words:
        items = enumerate(list_of(words, first))
        found["prefixItems"] = [subschema(item, (*path, first, index)) for index, item in items]
    if rest not in words and "unevaluatedItems" in words:
        rest = "unevaluatedItems"
        if words[rest] is not True and any(word in words for word in _IN_PLACE):
            raise UnusableSchemaError('"unevaluatedItems" is not supported beside words that may evaluate items')
    if rest in words:
        found["items"] = subschema(words[rest], (*path, rest))
    if words.get("uniqueItems", False) is not False and _longest(found) > 1:
        raise UnusableSchemaError('"uniqueItems" is not supported')
    if "contains" in words and (count_of(words, "minContains") != 0 or "maxContains" in words):
        raise UnusableSchemaError('"contains" is not supported')
    return found


def _longest(found: dict[str, Any]) -> float:
    """How many items an array may have."""
    longest = float(found.get("maxItems", _LONGEST))
    return min(longest, len(found.get("prefixItems", []))) if found.get("items") is False else longest
