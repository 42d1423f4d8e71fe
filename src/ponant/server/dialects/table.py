"""Tables of fields: rules that translate the fields of a dialect to the Mistral API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

Fields = dict[str, Any]


class RefusedFieldError(Exception):
    """A field is not supported, and ignoring it would change the answer. The message is for the client.

    ``where`` is the path of the field: names and indexes.
    """

    def __init__(self, message: str, *where: str | int, kind: str = "not_supported") -> None:
        super().__init__(message)
        self.where = where
        self.kind = kind

    def within(self, place: str | int) -> Self:
        """Return the error with ``place`` before its path."""
        self.where = (place, *self.where)
        return self


@dataclass(frozen=True, slots=True)
class Rule:
    """The translation of a field.

    Attributes:
        says: its description, for the documentation.
        translate: returns the fields of the Mistral API for the field's name and value; raises RefusedFieldError. It
            is not called for null, which is treated as a missing field.
    """

    says: str
    translate: Callable[[str, Any], Mapping[str, Any]]


KEPT = Rule("kept", lambda name, value: {name: value})


def renamed(to: str) -> Rule:
    """Return the rule of a field with another name in the Mistral API."""
    return Rule(f"renamed to `{to}`", lambda _, value: {to: value})


def translated(function: Callable[[Any], Mapping[str, Any]], says: str) -> Rule:
    """Return the rule of a field whose value a function translates to fields of the Mistral API."""
    return Rule(says, lambda _, value: function(value))


def ignored(why: str) -> Rule:
    """Return the rule of a field that does not change the answer."""
    return Rule(f"ignored: {why}", lambda _, __: {})


def only(*values: object, why: str) -> Rule:
    """Return the rule of a field that accepts only values without an effect."""
    written = " or ".join(f"`{_written(value)}`" for value in values)

    def translate(_: str, value: object) -> Fields:
        if not any(type(value) is type(allowed) and value == allowed for allowed in values):
            raise RefusedFieldError(f"can only be {written.replace('`', '')} here: {why}")
        return {}

    return Rule(f"{written} is ignored; any other value is refused: {why}", translate)


def refused(why: str) -> Rule:
    """Return the rule of an unsupported field."""

    def translate(_: str, __: object) -> Fields:
        raise RefusedFieldError(f"not supported: {why}")

    return Rule(f"refused: {why}", translate)


def checked(annotation: Any, says: str, *, to: str | None = None) -> Rule:
    """Return the rule of a field whose type has limits that the Mistral API does not have."""
    adapter = TypeAdapter[Any](annotation)

    def translate(name: str, value: object) -> Fields:
        try:
            return {to or name: adapter.validate_python(value, strict=True)}
        except ValidationError as error:
            reason = error.errors()[0]
            raise RefusedFieldError(reason["msg"], kind=reason["type"]) from None

    return Rule(says, translate)


@dataclass(frozen=True, slots=True)
class TranslatedFields:
    """Fields of the Mistral API, and the field of the request that each comes from."""

    fields: Fields
    sources: dict[str, str]


@dataclass(frozen=True)
class Table:
    """Rules for the fields of an object. Unknown fields are passed on, to be refused later.

    Attributes:
        rules: rules by field.
        shared: fields that the Mistral API has as well.
        defaults: values of the Mistral API's fields that a request does not have.
        check: raises RefusedFieldError for fields that exclude each other.
    """

    rules: Mapping[str, Rule]
    shared: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    check: Callable[[Mapping[str, Any]], None] = lambda _: None

    @cached_property
    def own(self) -> frozenset[str]:
        """Fields that the Mistral API does not have."""
        return frozenset(self.rules) - self.shared

    def read(self, sent: Mapping[str, Any]) -> TranslatedFields:
        """Translate an object.

        Raises:
            RefusedFieldError: a field is refused, or two contradict each other.
        """
        self.check(sent)
        fields: Fields = {}
        sources: dict[str, str] = {}
        for name, value in sent.items():
            rule = self.rules.get(name)
            if rule and value is None:
                continue
            try:
                new = rule.translate(name, value) if rule else {name: value}
            except RefusedFieldError as error:
                raise error.within(name) from None
            for to, meant in new.items():
                if to in fields and fields[to] != meant:
                    raise RefusedFieldError(f"{sources[to]} and {name} contradict each other", name)
                fields[to] = meant
                sources[to] = name
        return TranslatedFields({**self.defaults, **fields}, sources)


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).replace("'", '"')
