"""Short descriptions of JSON schemas for prompts: ``{"name": string, "age"?: integer}``.

The grammar enforces the schema. The description prepares the model for it, and leaves out bounds and the like, because
each of its tokens costs time.
"""

import json
from typing import Any

_DEEPEST = 6
_MOST_PARTS = 1000
_ANY = "any"
_COMBINING = {"anyOf": " | ", "oneOf": " | ", "allOf": " & "}


def outline(schema: dict[str, Any]) -> str:
    """Describe the documents of a schema in TypeScript's notation of types."""
    return _Outline(schema).of(schema, 0)


class _Outline:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = _MOST_PARTS

    def of(self, schema: Any, depth: int) -> str:
        self._left -= 1
        if not isinstance(schema, dict) or depth > _DEEPEST or self._left < 0:
            return _ANY
        written = self._form(schema, depth)
        description = schema.get("description")
        return f"{written} /* {description} */" if isinstance(description, str) and depth else written

    def _form(self, schema: dict[str, Any], depth: int) -> str:
        if "$ref" in schema:
            return self.of(self._resolved(schema["$ref"]), depth + 1)
        if "const" in schema:
            return _json(schema["const"])
        if isinstance(schema.get("enum"), list):
            return " | ".join(map(_json, schema["enum"]))
        if not isinstance(schema.get("properties"), dict):  # next to properties, these mostly list required ones
            for keyword, sign in _COMBINING.items():
                if isinstance(schema.get(keyword), list):
                    return sign.join(self.of(part, depth + 1) for part in schema[keyword])
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(self._of_type(schema, name, depth) for name in kind)
        return self._of_type(schema, kind, depth)

    def _of_type(self, schema: dict[str, Any], kind: Any, depth: int) -> str:
        properties = schema.get("properties")
        if kind in ("object", None) and isinstance(properties, dict):
            required = schema.get("required")
            names = required if isinstance(required, list) else []
            fields = (
                f"{_json(name)}{'' if name in names else '?'}: {self.of(part, depth + 1)}"
                for name, part in properties.items()
            )
            return f"{{{', '.join(fields)}}}"
        if kind == "array":
            items = self.of(schema.get("items"), depth + 1)
            return f"({items})[]" if " " in items and not items.startswith("{") else f"{items}[]"
        return kind if isinstance(kind, str) else _ANY

    def _resolved(self, reference: Any) -> Any:
        """Return the target of a reference within the schema; None if there is none."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        place: Any = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            place = place.get(step) if isinstance(place, dict) else None
        return place


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
