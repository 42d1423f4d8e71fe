"""Lenient parsing of responses, for servers newer than this client.

Unknown fields and values are kept. Null stands for the default in fields that cannot be null.
"""

from collections.abc import Callable, Sequence
from copy import copy
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, create_model
from pydantic.fields import FieldInfo

Model = TypeVar("Model", bound=BaseModel)

_TYPE = "type"
"""Name of the discriminator of variants."""

AS_IS = object()
"""Metadata of fields whose type is not the API's, and is parsed as declared."""


class LenientModel(BaseModel):
    """Part of a response. Fields that are unknown to this version are attributes too."""

    model_config = ConfigDict(extra="allow", strict=False)
    _made_from: ClassVar[tuple[type[BaseModel], str | None]]

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (*self._made_from, self.__getstate__())


class Unknown(LenientModel):
    """Variant that is unknown to this version, such as a new type of chunk."""

    type: str

    def __reduce__(self) -> tuple[Any, ...]:
        return object.__new__, (Unknown,), self.__getstate__()


def lenient(model: type[Model]) -> type[Model]:
    """Return a subclass of a wire type that accepts and keeps unknown fields and values."""
    return _lenient(model, None)


def reader(model: type[Model]) -> Callable[[str | bytes], Model]:
    """Return a function that parses a response's body leniently; it raises ValueError if the body is not valid."""
    return lambda body: lenient(model).model_validate_json(body)


@cache
def lenient_adapter(annotation: Any) -> TypeAdapter[Any]:
    """Return a lenient parser of a type other than a single model, such as a union of models."""
    return TypeAdapter(_widened(annotation))


@cache
def _lenient(model: type[Model], discriminator: str | None) -> type[Model]:
    """Return the lenient subclass. ``discriminator`` is a field that keeps its type, because it selects the variant."""
    fields: dict[str, Any] = {
        name: _widened_field(field)
        for name, field in model.model_fields.items()
        if name != discriminator and AS_IS not in field.metadata
    }
    bases = (model, LenientModel)
    made: type[Any] = cast(
        "Any",
        create_model(model.__name__, __base__=bases, __module__=model.__module__, __doc__=model.__doc__, **fields),
    )
    made._made_from = (model, discriminator)
    return made


def _widened_field(field: FieldInfo) -> tuple[Any, FieldInfo]:
    if isinstance(field.discriminator, str):
        undiscriminated = copy(field)
        undiscriminated.discriminator = None
        return _variants(field.annotation, field.discriminator), undiscriminated
    widened = _widened(field.annotation)
    if field.is_required() or NoneType in get_args(field.annotation):
        return widened, field

    def default_for_null(value: Any) -> Any:
        return field.get_default(call_default_factory=True, validated_data={}) if value is None else value

    return Annotated[widened, BeforeValidator(default_for_null)], field


def _widened(annotation: Any) -> Any:
    """Return a type that accepts more values."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return lenient(annotation)
    if origin is Literal:
        return annotation | str
    if origin is Annotated:
        inner, *metadata = arguments
        name = _discriminator(metadata)
        return _variants(inner, name) if name else Annotated[(_widened(inner), *metadata)]
    if origin in (Union, UnionType):
        return _widened_union(arguments)
    if origin in (list, dict):
        return origin[tuple(_widened(part) for part in arguments)]
    return annotation


def _widened_union(parts: Sequence[Any]) -> Any:
    models = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
    if len(models) < 2 or not all(_TYPE in model.model_fields for model in models):
        return Union[tuple(_widened(part) for part in parts)]  # noqa: UP007 - made from a tuple
    others = [part for part in parts if part not in models]
    return Union[(_variants(Union[tuple(models)], _TYPE), *others)]  # noqa: UP007


def _variants(union: Any, discriminator: str) -> Any:
    """Return a union of the known variants, selected by a discriminator, and of ``Unknown``."""
    known: Any = Union[tuple(_lenient(part, discriminator) for part in get_args(union))]  # noqa: UP007
    told_apart: Any = Annotated[known, Field(discriminator=discriminator)]
    return Annotated[told_apart | Unknown, Field(union_mode="left_to_right")]


def _discriminator(metadata: Sequence[Any]) -> str | None:
    names = [part.discriminator for part in metadata if isinstance(part, FieldInfo)]
    return next((name for name in names if isinstance(name, str)), None)


def _unpickled(model: type[BaseModel], discriminator: str | None, state: dict[Any, Any]) -> BaseModel:
    made: BaseModel = object.__new__(_lenient(model, discriminator))
    made.__setstate__(state)
    return made
