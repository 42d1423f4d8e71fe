"""JSON schemas as grammars have them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ponant.prompts.json_schema.document import Path
from ponant.prompts.json_schema.translation import translate

_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": False}
"""One layout for all documents: what lies between values need not be drawn."""
_STRINGS = {"json_allowed_escapes": 'nrbtf\\"'}
"""One way to write each string: without ``\\u`` no property can be named in two ways."""
_KEPT = 64
"""Requests whose rules are kept."""


@dataclass(frozen=True, slots=True)
class NamedSchema:
    """A JSON schema, and the field of the request that it came from: ``response_format.json_schema.schema``."""

    where: str
    schema: dict[str, Any]


def json_rules(schemas: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """What stands in a grammar (llguidance's dialect of Lark) for the JSON documents that satisfy each of the schemas.

    Not for all of them: see ``json_schema.translation``. A schema that nobody has vouched for belongs into a process of
    its own first, as ``completion.structured`` has it. The rules for the schemas of a request are kept for the next
    one, which often has the same.

    Raises:
        UnusableSchemaError: a schema says what a grammar cannot follow.
    """
    return _rules(json.dumps(schemas, ensure_ascii=False))


@lru_cache(_KEPT)
def _rules(schemas: str) -> tuple[str, ...]:
    return tuple(part_rule(schema, ()) for schema in json.loads(schemas))


def part_rule(schema: dict[str, Any], part: Path) -> str:
    """The rule for one part of a schema, whose references may lead to others. Raises UnusableSchemaError."""
    written = translate(schema, part) | {"x-guidance": _LAYOUT | _STRINGS}
    return f"%json {json.dumps(written, ensure_ascii=False)}"
