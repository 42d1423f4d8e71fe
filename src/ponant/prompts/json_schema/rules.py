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
    """A JSON schema and the request's field that it came from, such as ``response_format.json_schema.schema``.

    Unless it is ``strict``, keywords that cannot be enforced are left out.
    """

    where: str
    schema: dict[str, Any]
    strict: bool = True


def json_rules(schemas: Sequence[dict[str, Any]], *, strict: Sequence[bool] | None = None) -> tuple[str, ...]:
    """Return a grammar expression (llguidance's dialect of Lark) per schema, for JSON documents that satisfy it.

    An expression may allow fewer documents than its schema; see ``json_schema.translation``. Untrusted schemas must be
    checked in a separate process first, as ``completion.schemas`` does. Results are cached, because successive requests
    often have the same schemas.

    Args:
        schemas: the schemas.
        strict: for each schema, False if keywords that cannot be enforced are left out; by default all are strict.

    Raises:
        UnusableSchemaError: a schema has a keyword that a grammar cannot enforce.
    """
    return _rules(json.dumps(schemas, ensure_ascii=False), tuple(strict or [True] * len(schemas)))


@lru_cache(_KEPT)
def _rules(schemas: str, strict: tuple[bool, ...]) -> tuple[str, ...]:
    pairs = zip(json.loads(schemas), strict, strict=True)
    return tuple(part_rule(schema, (), left_out=None if is_strict else {}) for schema, is_strict in pairs)


def part_rule(schema: dict[str, Any], part: Path, *, left_out: dict[Path, None] | None = None) -> str:
    """Return the expression for one part of a schema, which may refer to others.

    Keywords that cannot be enforced are left out if ``left_out`` takes their paths. Raises UnusableSchemaError.
    """
    written = translate(schema, part, left_out=left_out) | {"x-guidance": _LAYOUT | _STRINGS}
    return f"%json {json.dumps(written, ensure_ascii=False)}"
