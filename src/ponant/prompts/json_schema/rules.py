"""Grammar rules of JSON schemas."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ponant.prompts.json_schema.document import Path
from ponant.prompts.json_schema.translation import translate

_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": False}
"""A single layout for all documents, so that separators need not be sampled."""
_STRINGS = {"json_allowed_escapes": 'nrbtf\\"'}
"""A single spelling of each string: with ``\\u``, a property would have several names."""
_KEPT = 64
"""Number of requests whose rules are cached."""


@dataclass(frozen=True, slots=True)
class NamedSchema:
    """A JSON schema and the request's field that it came from, such as ``response_format.json_schema.schema``."""

    where: str
    schema: dict[str, Any]


def json_rules(schemas: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return a grammar expression (llguidance's dialect of Lark) per schema, for JSON documents that satisfy it.

    An expression may allow fewer documents than its schema; see ``json_schema.translation``. Untrusted schemas must be
    checked in a separate process first, as ``completion.schemas`` does. Results are cached, because successive requests
    often have the same schemas.

    Raises:
        UnusableSchemaError: a schema has a keyword that a grammar cannot enforce.
    """
    return _rules(json.dumps(schemas, ensure_ascii=False))


@lru_cache(_KEPT)
def _rules(schemas: str) -> tuple[str, ...]:
    return tuple(part_rule(schema, ()) for schema in json.loads(schemas))


def part_rule(schema: dict[str, Any], part: Path) -> str:
    """Return the expression for one part of a schema, which may refer to others. Raises UnusableSchemaError."""
    written = translate(schema, part) | {"x-guidance": _LAYOUT | _STRINGS}
    return f"%json {json.dumps(written, ensure_ascii=False)}"
