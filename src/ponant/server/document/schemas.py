"""Texts, examples and bounds of the schemas of a document."""

from collections.abc import Iterator, Mapping
from typing import Any

from ponant.server.document.texts.field_text import FieldText, FieldTexts, SchemaDefault, SchemaText

Json = dict[str, Any]

_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "default")
"""Keys of numbers, which FastAPI writes as floats: 18446744073709551616, not 1.8e19."""


def describe_schema(schema: Json, text: SchemaText) -> None:
    """Write the text of a schema, and the texts and examples of its fields."""
    schema["description"] = text.text
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        field.pop("title", None)
        if name in text.fields:
            _describe_field(field, text.fields[name])
        if not _takes_null(field):
            if "default" in field and field["default"] is None:
                del field["default"]
        elif name not in required:
            field.setdefault("default", None)


def describe_parameters(parameters: list[Json], texts: FieldTexts) -> None:
    """Write the texts and examples of an operation's parameters."""
    for parameter in parameters:
        schema = parameter["schema"]
        schema.pop("title", None)
        if text := texts.get(parameter["name"]):
            parameter["description"] = text.text
            parameter["example"] = text.example
            if not isinstance(text.default, SchemaDefault):
                schema["default"] = text.default


def write_whole_numbers(part: Any) -> None:
    """Replace bounds and defaults that are whole numbers by integers."""
    for schema in dicts_of(part):
        for name in _NUMBERS:
            value = schema.get(name)
            if isinstance(value, float) and value.is_integer():
                schema[name] = int(value)


def write_models(part: Any, models: Mapping[str, str]) -> Any:
    """Return a copy of a document in which texts that are names of models are replaced by others."""
    if isinstance(part, dict):
        return {name: write_models(value, models) for name, value in part.items()}
    if isinstance(part, list):
        return [write_models(value, models) for value in part]
    return models.get(part, part) if isinstance(part, str) else part


def require_model(schema: Json) -> None:
    """Declare the model of a request as the reference does: required, and no null."""
    schema["required"] = ["model", *schema.get("required", ())]
    model = schema["properties"]["model"]
    del model["anyOf"], model["default"]
    schema["properties"]["model"] = {"type": "string", **model}


def dicts_of(part: Any) -> Iterator[Json]:
    """Yield all objects of a JSON value."""
    if isinstance(part, dict):
        yield part
    if isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from dicts_of(inner)


def _describe_field(field: Json, text: FieldText) -> None:
    field["description"] = text.text
    field["examples"] = [text.example]
    if not isinstance(text.default, SchemaDefault):
        field["default"] = text.default


def _takes_null(field: Json) -> bool:
    if "anyOf" in field:
        return any(choice.get("type") == "null" for choice in field["anyOf"])
    return field.get("type") == "null" or not {"type", "$ref", "enum", "oneOf"} & field.keys()
