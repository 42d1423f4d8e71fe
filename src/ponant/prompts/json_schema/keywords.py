"""Words of a subschema, read as the types that they must have. All raise UnusableSchemaError without a path."""

from typing import Any

from ponant.prompts.json_schema.document import UnusableSchemaError


def list_of(keywords: dict[str, Any], keyword: str) -> list[Any]:
    """A list; empty if the word is not there."""
    value = keywords.get(keyword, [])
    if not isinstance(value, list):
        raise UnusableSchemaError(f'"{keyword}" must be a list')
    return value


def mapping_of(keywords: dict[str, Any], keyword: str) -> dict[str, Any]:
    """An object; empty if the word is not there."""
    value = keywords.get(keyword, {})
    if not isinstance(value, dict):
        raise UnusableSchemaError(f'"{keyword}" must be an object')
    return value


def names_of(keywords: dict[str, Any], keyword: str) -> list[str]:
    """A list of names of properties, each once."""
    names = list_of(keywords, keyword)
    if not all(isinstance(name, str) for name in names):
        raise UnusableSchemaError(f'"{keyword}" must be a list of names of properties')
    return list(dict.fromkeys(names))


def count_of(keywords: dict[str, Any], keyword: str) -> int | None:
    """A whole number from 0 on; None if the word is not there."""
    if keyword not in keywords:
        return None
    value = keywords[keyword]
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1:
        raise UnusableSchemaError(f'"{keyword}" must be a whole number')
    return int(value)
