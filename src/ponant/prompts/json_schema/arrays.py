"""Keywords of arrays, translated to draft 2020-12."""

from collections.abc import Callable
from typing import Any

from ponant.prompts.json_schema.document import Path, UnsupportedKeywordError
from ponant.prompts.json_schema.evaluation import Evaluation
from ponant.prompts.json_schema.keywords import count_of, list_of
from ponant.prompts.json_schema.logic import Schema
from ponant.prompts.json_schema.unique_items import different_items

_IN_PLACE = ("$ref", "allOf", "anyOf", "oneOf", "if", "contains")
_LONGEST = 2**31 - 1


def array_keywords(
    keywords: dict[str, Any], path: Path, subschema: Callable[[Any, Path], Schema], evaluation: Evaluation
) -> dict[str, Any]:
    """Translate a subschema's keywords of arrays. Raises UnusableSchemaError."""
    found: dict[str, Any] = {}
    for keyword in ("minItems", "maxItems"):
        count = count_of(keywords, keyword)
        if count is not None:
            found[keyword] = min(count, _LONGEST)
    first, rest = ("items", "additionalItems") if isinstance(keywords.get("items"), list) else ("prefixItems", "items")
    if first in keywords:
        items = enumerate(list_of(keywords, first))
        found["prefixItems"] = [subschema(item, (*path, first, index)) for index, item in items]
    if rest not in keywords and "unevaluatedItems" in keywords:
        rest = "unevaluatedItems"
        if keywords[rest] is not True and any(keyword in keywords for keyword in _IN_PLACE):
            reason = '"unevaluatedItems" is not supported together with keywords that may evaluate items'
            raise UnsupportedKeywordError(reason, "unevaluatedItems")
    if rest in keywords:
        found["items"] = subschema(keywords[rest], (*path, rest))
    if keywords.get("uniqueItems", False) is not False and _longest(found) > 1:
        different = different_items(found, keywords.get(rest), evaluation)
        if different is None:
            reason = '"uniqueItems" is not supported for items with many possible values'
            raise UnsupportedKeywordError(reason, "uniqueItems")
        found = different
    if "contains" in keywords and (count_of(keywords, "minContains") != 0 or "maxContains" in keywords):
        raise UnsupportedKeywordError('"contains" is not supported', "contains", "minContains", "maxContains")
    return found


def _longest(found: dict[str, Any]) -> float:
    """Return the maximum number of items."""
    longest = float(found.get("maxItems", _LONGEST))
    return min(longest, len(found.get("prefixItems", []))) if found.get("items") is False else longest
