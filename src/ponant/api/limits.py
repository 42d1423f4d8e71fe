"""Limits of the lists in requests, which keep the time and the memory for a request small."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import PydanticKnownError, core_schema

MOST_ERRORS = 20
"""Most errors of an invalid request that are reported."""
LIMIT = "x-limit"
"""Key of a JSON schema with the name of the limit of its length, which ``declared_limits`` replaces."""

LimitName = Literal["messages", "chunks", "tools", "stops", "inputs", "items"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """Limits of a request's lists: the context of its validation. Without a context, lists have no limits.

    Attributes:
        messages: messages of a conversation.
        chunks: chunks of a message.
        tools: tools of a request, and calls of a message.
        stops: stop strings.
        inputs: texts to embed.
        items: items of any other list.
    """

    messages: int
    chunks: int
    tools: int
    stops: int
    inputs: int
    items: int

    def of(self, name: str) -> int:
        """Return the limit of this name."""
        limit: int = getattr(self, name)
        return limit


_LENGTHS = {"array": "maxItems", "object": "maxProperties"}
"""Keys of a JSON schema with the largest length, by its type."""


@dataclass(frozen=True, slots=True)
class AtMost:
    """Annotation of lists and objects: their length has a limit, and the first invalid item ends the validation."""

    limit: LimitName

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Return the schema of the annotated type with the limit."""
        schema = handler(source)
        _fail_fast(schema)
        return core_schema.with_info_before_validator_function(self._check, schema)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema of the annotated type with the name of the limit."""
        described = handler(schema)
        for choice in (described, *described.get("anyOf", ())):
            if choice.get("type") in _LENGTHS:
                choice[LIMIT] = self.limit
        return described

    def _check(self, value: Any, info: ValidationInfo) -> Any:
        if isinstance(info.context, RequestLimits) and isinstance(value, list | dict):
            most = info.context.of(self.limit)
            if len(value) > most:
                kind = "List" if isinstance(value, list) else "Dictionary"
                raise PydanticKnownError(
                    "too_long", {"field_type": kind, "max_length": most, "actual_length": len(value)}
                )
        return value


def declared_limits(schema: Any, limits: RequestLimits) -> Any:
    """Return a JSON schema with these limits in place of their names."""
    if isinstance(schema, list):
        return [declared_limits(part, limits) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: declared_limits(part, limits) for name, part in schema.items() if name != LIMIT}
    if isinstance(limit := schema.get(LIMIT), str):
        found[_LENGTHS[schema["type"]]] = limits.of(limit)
    return found


def _fail_fast(schema: Any) -> None:
    """Make all lists of a schema stop at their first invalid item, except for those in models."""
    if schema["type"] == "list":
        schema["fail_fast"] = True
    for part in (schema.get("schema"), schema.get("items_schema"), *schema.get("choices", ())):
        if isinstance(part, dict) and part["type"] != "model":
            _fail_fast(part)
