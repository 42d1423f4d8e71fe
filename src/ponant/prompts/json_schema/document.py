"""JSON schema of a request: the effective keywords of its subschemas, and the targets of its references."""

import contextlib
import math
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

Path = tuple[str | int, ...]
"""Path of a part of a schema from its root."""

ANNOTATIONS = frozenset(
    [
        "$anchor",
        "$comment",
        "$defs",
        "$dynamicAnchor",
        "$id",
        "$recursiveAnchor",
        "$schema",
        "$vocabulary",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "default",
        "definitions",
        "deprecated",
        "description",
        "examples",
        "format",
        "id",
        "readOnly",
        "title",
        "writeOnly",
    ]
)
"""Keywords that do not restrict documents, ``format`` among them."""

_DRAFTS = {"draft-03": 3, "draft-04": 4, "draft-06": 6, "draft-07": 7, "2019-09": 8, "2020-12": 9}
_LATEST = 9
_SINCE = dict.fromkeys(("const", "contains", "propertyNames"), 6) | dict.fromkeys(("if", "then", "else"), 7)
_SINCE |= dict.fromkeys(["dependentRequired", "dependentSchemas", "unevaluatedItems", "unevaluatedProperties"], 8)
_RELAXING = {"minContains": 8, "prefixItems": 9}
_SINCE |= _RELAXING | {"maxContains": 8}


_MAPPED = ("properties", "patternProperties", "dependentSchemas")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLE = ("items", "additionalItems", "additionalProperties", "not", "if", "then", "else")


class UnusableSchemaError(Exception):
    """A schema cannot be translated to a grammar. The message states the reason.

    ``path`` is the path of the part at fault; None as long as it is unknown.
    """

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(reason)
        self.path = path


class UnsupportedKeywordError(UnusableSchemaError):
    """Some keywords cannot be enforced exactly. Without ``keywords`` the schema can be translated."""

    def __init__(self, reason: str, *keywords: str, path: Path | None = None) -> None:
        super().__init__(reason, path)
        self.keywords = keywords


class Document:
    """A schema with its references."""

    def __init__(self, root: dict[str, Any]) -> None:
        """Determine the schema's draft. Raises UnusableSchemaError."""
        self._root = root
        named = root.get("$schema")
        drafts = [draft for name, draft in _DRAFTS.items() if isinstance(named, str) and f"/{name}/" in named]
        self._draft = drafts[0] if drafts else _LATEST
        if self._draft < 4:
            raise UnusableSchemaError(
                f'"$schema" is {named}, which is too old; draft-04 is the first that is supported', ()
            )
        self._id = "id" if self._draft == 4 else "$id"
        self._base = ""
        if isinstance(root.get(self._id), str):
            self._base, _ = self._split(root[self._id])
        self._moved = self._find_moved()

    def keywords(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the effective keywords of a subschema.

        Keywords of later drafts are effective too, because their author meant them, unless they relax other keywords.
        Up to draft-07, ``$ref`` overrides all other keywords.
        """
        if self._draft <= 7 and "$ref" in schema:
            return {"$ref": schema["$ref"]}
        if any(self._draft < _RELAXING.get(keyword, 0) for keyword in schema):
            return {keyword: value for keyword, value in schema.items() if self._draft >= _RELAXING.get(keyword, 0)}
        return schema

    def asserting(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords that restrict documents, without those of later drafts."""
        return {
            keyword: value
            for keyword, value in self.keywords(schema).items()
            if keyword not in ANNOTATIONS and _SINCE.get(keyword, 0) <= self._draft
        }

    def resolve(self, reference: Any) -> tuple[Any, Path]:
        """Return the target of a ``$ref`` and its path. Raises UnusableSchemaError without a path."""
        if not isinstance(reference, str):
            raise UnusableSchemaError('"$ref" must be a string')
        if reference in self._moved:
            raise UnsupportedKeywordError(f'"$ref" below an "{self._id}" of its own is not supported', "$ref")
        url, fragment = self._split(reference)
        if url != self._base:
            raise UnsupportedKeywordError(f'"$ref" refers to "{reference}", which is outside of the schema', "$ref")
        if fragment and not fragment.startswith("/"):
            reason = f'"$ref" refers to an anchor, "{reference}"; only "#" and "#/…" are supported'
            raise UnsupportedKeywordError(reason, "$ref")
        return self._follow(reference, fragment)

    def numbers(self) -> list[int | float]:
        """Return all numbers in the schema."""
        found: dict[int | float, None] = {}
        todo: list[Any] = [self._root]
        while todo:
            value = todo.pop()
            if isinstance(value, dict | list):
                todo.extend(value.values() if isinstance(value, dict) else value)
            elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                found[value] = None
        return list(found)

    def part(self, path: Path) -> Any:
        """Return the part at a path."""
        found: Any = self._root
        for step in path:
            found = found[step]
        return found

    def parts(self, path: Path) -> list[Path]:
        """Return the paths of the schemas in a subschema, the target of its reference first, if it is known."""
        schema = self.part(path)
        if not isinstance(schema, dict):
            return []
        keywords = self.keywords(schema)
        found: list[Path] = []
        if "$ref" in keywords:
            with contextlib.suppress(UnusableSchemaError):
                found.append(self.resolve(keywords["$ref"])[1])
        for keyword, value in keywords.items():
            if keyword in _MAPPED and isinstance(value, dict):
                found += [(*path, keyword, name) for name in value]
            elif keyword in _LISTED and isinstance(value, list):
                found += [(*path, keyword, index) for index in range(len(value))]
            elif keyword in _SINGLE:
                found.append((*path, keyword))
        return found

    def _split(self, reference: str) -> tuple[str, str]:
        """Split a reference into the URL of a document and the fragment in it."""
        try:
            local = not self._base or reference.startswith("#")
            url, fragment = urldefrag(self._base + reference if local else urljoin(self._base, reference))
        except ValueError as error:
            raise UnusableSchemaError(f'"$ref" is "{reference}", which is not a valid reference') from error
        return url, unquote(fragment)

    def _follow(self, reference: str, pointer: str) -> tuple[Any, Path]:
        found: Any = self._root
        path: list[str | int] = []
        for token in pointer.split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")
            step = int(name) if isinstance(found, list) and name.isdecimal() and len(name) < 9 else name
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError) as error:
                raise UnusableSchemaError(f'"$ref" refers to "{reference}", which does not exist') from error
            path.append(step)
        return found, tuple(path)

    def _find_moved(self) -> set[str]:
        """Return the references that are relative to an ``$id`` other than the root's."""
        moved = set()
        todo: list[tuple[Any, bool]] = [(self._root, False)]
        while todo:
            value, below = todo.pop()
            if isinstance(value, dict):
                own = value.get(self._id)
                below = below or (value is not self._root and isinstance(own, str) and not own.startswith("#"))
                if below and isinstance(value.get("$ref"), str):
                    moved.add(value["$ref"])
                todo.extend((part, below) for part in value.values())
            elif isinstance(value, list):
                todo.extend((part, below) for part in value)
        return moved
