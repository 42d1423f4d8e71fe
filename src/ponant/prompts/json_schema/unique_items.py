"""Arrays of different items, written out if their items have few possible values."""

from itertools import combinations, permutations
from math import comb, perm
from typing import Any

from ponant.prompts.json_schema.evaluation import Evaluation
from ponant.prompts.json_schema.values import TYPES, canonical

_MOST_ARRAYS = 2_000


def different_items(found: dict[str, Any], items: Any, evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the translation of ``uniqueItems`` with the keywords of arrays next to it.

    All orders of the items are allowed if they can be written out, else the order of the values in the schema alone.

    Args:
        found: translated keywords of the array.
        items: original schema of its items.
        evaluation: evaluation of that schema.

    Returns:
        None if the arrays have too many or unknown items.
    """
    values = _domain(items, evaluation)
    if values is None or "prefixItems" in found:
        return None
    lengths = range(found.get("minItems", 0), min(found.get("maxItems", len(values)), len(values)) + 1)
    if sum(perm(len(values), length) for length in lengths) <= _MOST_ARRAYS:
        arrays = [array for length in lengths for array in permutations(values, length)]
    elif sum(comb(len(values), length) for length in lengths) <= _MOST_ARRAYS:
        arrays = [array for length in lengths for array in combinations(values, length)]
    else:
        return None
    written: list[dict[str, Any]] = [
        {
            "type": ["array"],
            "prefixItems": [{"enum": [value]} for value in array],
            "items": False,
            "minItems": len(array),
            "maxItems": len(array),
        }
        for array in arrays
    ]
    others = {keyword: value for keyword, value in found.items() if keyword not in ("items", "minItems", "maxItems")}
    return others | {"anyOf": [{"type": [name for name in TYPES if name != "array"]}, *written]}


def _domain(items: Any, evaluation: Evaluation) -> list[Any] | None:
    """Return all values that satisfy a schema, each once; None if they are too many or unknown."""
    candidates = None if not isinstance(items, dict) else evaluation.candidates(items)
    if candidates is None:
        return None
    verdicts = [(value, evaluation.holds(items, value)) for value in candidates]
    if any(verdict is None for _, verdict in verdicts):
        return None
    return list({canonical(value): value for value, verdict in verdicts if verdict}.values())
