"""The text of a field or of a parameter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias


class SchemaDefault:
    """Mark of a default that the schema itself has."""


SCHEMA_DEFAULT: Final = SchemaDefault()


@dataclass(frozen=True, slots=True)
class FieldText:
    """Description of a field or of a parameter.

    Attributes:
        text: its description, in Markdown.
        example: a valid value.
        default: the value that a missing field has in effect, if the schema does not have it.
    """

    text: str
    example: Any
    default: Any = SCHEMA_DEFAULT


FieldTexts: TypeAlias = Mapping[str, FieldText]
"""Texts by the name of the field."""


@dataclass(frozen=True, slots=True)
class SchemaText:
    """Description of an object and of its fields."""

    text: str
    fields: FieldTexts
