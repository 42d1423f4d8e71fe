"""Typed access to the keywords of a subschema. All functions raise UnusableSchemaError without a path."""

from typing import Any

from ponant.prompts.json_schema.document import UnusableSchemaError


def list_of(keywords: dict[str, Any], keyword: str) -> list[Any]:
    """Return the list of a keyword; empty if it is missing."""
    value = keywords.get(keyword, [])
    if not isinstance(value, list):
        raise UnusableSchemaError(f'"{keyword}" must be a list')
    return value


def mapping_of(keywords: dict[str, Any], keyword: str) -> dict[str, Any]:
    """Return the object of a keyword; empty if it is missing."""
    value = keywords.get(keyword, {})
    if not isinstance(value, dict):
        raise UnusableSchemaError(f'"{keyword}" must be an object')
    return value


def names_of(keywords: dict[str, Any], keyword: str) -> list[str]:
    """Return the property names of a keyword without duplicates; empty if it is missing."""
    names = list_of(keywords, keyword)
    if not all(isinstance(name, str) for name in names):
        raise UnusableSchemaError(f'"{keyword}" must be a list of property names')
    return list(dict.fromkeys(names))


def count_of(keywords: dict[str, Any], keyword: str) -> int | None:
    """Return the non-negative integer of a keyword; None if it is missing."""
    if keyword not in keywords:
        return None
    value = keywords[keyword]
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1:
        raise UnusableSchemaError(f'"{keyword}" must be a whole number')
    return int(value)
