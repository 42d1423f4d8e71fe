"""Words of a subschema, read as the types that they must have. All raise UnusableSchemaError without a path."""

from typing import Any

from ponant.prompts.json_schema.document import UnusableSchemaError


def list_of(words: dict[str, Any], word: str) -> list[Any]:
    """A list; empty if the word is not there."""
    value = words.get(word, [])
    if not isinstance(value, list):
        raise UnusableSchemaError(f'"{word}" must be a list')
    return value


def mapping_of(words: dict[str, Any], word: str) -> dict[str, Any]:
    """An object; empty if the word is not there."""
    value = words.get(word, {})
    if not isinstance(value, dict):
        raise UnusableSchemaError(f'"{word}" must be an object')
    return value


def names_of(words: dict[str, Any], word: str) -> list[str]:
    """A list of names of properties, each once."""
    names = list_of(words, word)
    if not all(isinstance(name, str) for name in names):
        raise UnusableSchemaError(f'"{word}" must be a list of names of properties')
    return list(dict.fromkeys(names))


def count_of(words: dict[str, Any], word: str) -> int | None:
    """A whole number from 0 on; None if the word is not there."""
    if word not in words:
        return None
    value = words[word]
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1:
        raise UnusableSchemaError(f'"{word}" must be a whole number')
    return int(value)
