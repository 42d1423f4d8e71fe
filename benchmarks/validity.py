"""Whether a JSON text satisfies a schema: fully where jsonschema is installed, else only that it is an object."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

_VALIDATES = find_spec("jsonschema") is not None
CHECK = "validated with jsonschema" if _VALIDATES else "parsed but not validated, as jsonschema is not installed"
"""What is done with every text, for reports."""


def problem(text: str, schema: Mapping[str, Any]) -> str | None:
    """Return why a text is no JSON object that satisfies a schema, or None if it is one.

    Examples:
        >>> problem('{"age": 3}', {"type": "object"}), problem("[1", {"type": "object"})
        (None, 'not JSON')
    """
    try:
        document = json.loads(text)
    except ValueError:
        return "not JSON"
    if not isinstance(document, dict):
        return "no object"
    return violation(document, schema) if _VALIDATES else None


def violation(document: object, schema: Mapping[str, Any]) -> str | None:
    """Return where a document does not satisfy a schema, or None if it does."""
    import jsonschema  # the dev extra alone has it

    try:
        jsonschema.validate(document, schema)
    except jsonschema.ValidationError as error:
        return f"{error.json_path} does not satisfy the schema"
    return None
