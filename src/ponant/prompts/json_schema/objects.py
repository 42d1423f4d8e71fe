"""Keywords of objects, translated to those that llguidance enforces."""

from collections.abc import Callable
from typing import Any

from ponant.prompts.json_schema.document import Document, Path, UnsupportedKeywordError, UnusableSchemaError
from ponant.prompts.json_schema.keywords import count_of, list_of, mapping_of, names_of
from ponant.prompts.json_schema.logic import Schema
from ponant.prompts.json_schema.patterns import NamePattern, name_pattern, translate_pattern
from ponant.prompts.json_schema.scanner import PatternError

Translate = Callable[[Any, Path], Schema]

_NAMED = ("patternProperties", "additionalProperties", "unevaluatedProperties")
"""Keywords that depend on ``patternProperties``."""
_IN_PLACE = ("anyOf", "oneOf", "if", "dependentSchemas", "dependencies", "$dynamicRef", "$recursiveRef")


def object_keywords(keywords: dict[str, Any], path: Path, subschema: Translate, document: Document) -> dict[str, Any]:
    """Translate a subschema's keywords of objects. Raises UnusableSchemaError."""
    found: dict[str, Any] = {}
    if "properties" in keywords:
        properties = mapping_of(keywords, "properties").items()
        found["properties"] = {name: subschema(schema, (*path, "properties", name)) for name, schema in properties}
    if "additionalProperties" in keywords:
        found["additionalProperties"] = subschema(keywords["additionalProperties"], (*path, "additionalProperties"))
    elif "unevaluatedProperties" in keywords:
        unevaluated = subschema(keywords["unevaluatedProperties"], (*path, "unevaluatedProperties"))
        if unevaluated is not True:
            evaluated = dict.fromkeys(_evaluated(keywords, document), True)
            found["properties"] = evaluated | found.get("properties", {})
            found["additionalProperties"] = unevaluated
    if "patternProperties" in keywords:
        found["patternProperties"] = _patterns(keywords, path, subschema, found)
    if required := names_of(keywords, "required"):
        found["required"] = required
    _count(keywords, found)
    if "propertyNames" in keywords:
        found.setdefault("allOf", []).append(_named(keywords["propertyNames"], document))
    return found


def _patterns(keywords: dict[str, Any], path: Path, subschema: Translate, found: dict[str, Any]) -> dict[str, Schema]:
    """Translate ``patternProperties``.

    If other properties are unrestricted, names match that match in any regular expression dialect; otherwise, names
    that match in all dialects.
    """
    patterns: dict[str, NamePattern] = {}
    for pattern in mapping_of(keywords, "patternProperties"):
        try:
            patterns[pattern] = name_pattern(pattern)
        except PatternError as error:
            place = (*path, "patternProperties", pattern)
            reason = f"the regular expression: {error}"
            if error.invalid:
                raise UnusableSchemaError(reason, place) from error
            raise UnsupportedKeywordError(reason, *_NAMED, path=place) from error
    others = found.get("additionalProperties", True)
    if others is not True:
        _refuse_ambiguous(list(patterns.values()), found)
    written: dict[str, Schema] = {}
    for pattern, schema in keywords["patternProperties"].items():
        part = subschema(schema, (*path, "patternProperties", pattern))
        translated = patterns[pattern].wide if others is True else patterns[pattern].narrow
        written[translated] = {"allOf": [written[translated], part]} if translated in written else part
    if isinstance(others, dict) and any("$" in pattern for pattern in written):
        written[r"\n$"] = False
    return written


def _refuse_ambiguous(patterns: list[NamePattern], found: dict[str, Any]) -> None:
    """Refuse patterns if a name matches different ones in different regular expression dialects."""
    odd_names = not all(name.isascii() and name.isprintable() for name in found.get("properties", {}))
    for pattern in patterns:
        others = any(other.broad for other in patterns if other is not pattern)
        if pattern.ambiguous and (others or odd_names or found["additionalProperties"] is not False):
            raise UnsupportedKeywordError(
                'regular expressions of "patternProperties" that differ between dialects are not supported together '
                "with others or with a schema for additional properties",
                *_NAMED,
            )


def _evaluated(keywords: dict[str, Any], document: Document) -> dict[str, None]:
    """Return the names of the properties that a subschema, its ``allOf`` and its ``$ref`` evaluate."""
    names: dict[str, None] = {}
    todo, seen = [keywords], {id(keywords)}
    while todo:
        part = todo.pop(0)
        if not isinstance(part, dict):
            continue
        unknown = ("patternProperties", "additionalProperties", "unevaluatedProperties")
        if any(keyword in part for keyword in (*_IN_PLACE, *(unknown if part is not keywords else ()))):
            reason = '"unevaluatedProperties" is not supported together with alternatives, conditions or patterns'
            raise UnsupportedKeywordError(reason, "unevaluatedProperties")
        names |= dict.fromkeys(mapping_of(part, "properties"))
        parts = [*list_of(part, "allOf"), *([document.resolve(part["$ref"])[0]] if "$ref" in part else ())]
        todo += [added for added in parts if id(added) not in seen]
        seen |= set(map(id, parts))
    return names


def _count(keywords: dict[str, Any], found: dict[str, Any]) -> None:
    """Translate ``minProperties`` and ``maxProperties``.

    The grammar may write an additional property twice, and readers of the document count it once.
    """
    properties: dict[str, Schema] = found.get("properties", {})
    required = found.get("required", [])
    optional = [name for name, schema in properties.items() if name not in required and schema is not False]
    closed = found.get("additionalProperties") is False and not found.get("patternProperties")
    fewest = max(0, (count_of(keywords, "minProperties") or 0) - len(required))
    most = count_of(keywords, "maxProperties")
    if most is not None:
        room = most - len(required)
        if optional and room == 0:
            found |= {"properties": properties | dict.fromkeys(optional, False), "additionalProperties": False}
            found.pop("patternProperties", None)
            optional, closed = [], True
        elif (optional and not closed) or (closed and 1 < room < len(optional)):
            reason = '"maxProperties" is not supported together with optional properties'
            raise UnsupportedKeywordError(reason, "maxProperties")
        elif not closed or room < len(optional):
            found["maxProperties"] = most
    if fewest > 1 and closed and fewest == len(optional):
        found["required"] = [*required, *optional]
    elif fewest > 1:
        reason = '"minProperties" is supported up to one more than there are required properties'
        raise UnsupportedKeywordError(reason, "minProperties")
    elif fewest == 1 and optional and not closed:
        found["anyOf"] = [{"required": [name]} for name in optional]
        found["anyOf"].append({"properties": dict.fromkeys(optional, False), "minProperties": len(required) + 1})
    elif fewest == 1:
        found["minProperties"] = len(required) + 1


def _named(schema: Any, document: Document) -> dict[str, Any]:
    """Translate ``propertyNames``."""
    if isinstance(schema, dict) and "$ref" in schema:
        schema = document.resolve(schema["$ref"])[0] if len(document.asserting(schema)) == 1 else schema
    if isinstance(schema, bool):
        return {} if schema else {"additionalProperties": False}
    keywords = document.asserting(schema) if isinstance(schema, dict) else {"type": None}
    said = set(keywords) - {"type"}
    if keywords.get("type", "string") == "string":
        if not said:
            return {}
        if said == {"pattern"} and isinstance(keywords["pattern"], str):
            return {"patternProperties": {_name(keywords["pattern"]): True}, "additionalProperties": False}
        if said in ({"enum"}, {"const"}):
            values = list_of(keywords, "enum") if "enum" in keywords else [keywords["const"]]
            names = [value for value in values if isinstance(value, str)]
            return {"properties": dict.fromkeys(names, True), "additionalProperties": False}
        if said <= {"minLength", "maxLength"}:
            longest = count_of(keywords, "maxLength")
            lengths = f"{count_of(keywords, 'minLength') or 0},{'' if longest is None else longest}"
            pattern = translate_pattern(rf"^[\s\S]{{{lengths}}}$")
            return {"patternProperties": {pattern: True}, "additionalProperties": False}
    reason = '"propertyNames" is supported with a pattern, an enum or lengths only'
    raise UnsupportedKeywordError(reason, "propertyNames")


def _name(pattern: str) -> str:
    try:
        return translate_pattern(pattern)
    except PatternError as error:
        reason = f'the regular expression of "pattern": {error}'
        if error.invalid:
            raise UnusableSchemaError(reason) from error
        raise UnsupportedKeywordError(reason, "propertyNames") from error
