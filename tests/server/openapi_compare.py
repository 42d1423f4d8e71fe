"""Differences between a served OpenAPI document and the specification that it implements."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Schema = Mapping[str, Any]
Direction = Literal["request", "response"]

ANNOTATIONS = frozenset(
    {"title", "description", "default", "example", "examples", "deprecated", "discriminator", "readOnly", "writeOnly"}
)
TYPES = frozenset({"any", "object", "array", "string", "number", "integer", "boolean"})
TYPES_OF_VALUES: dict[type[object], str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
LOWER_BOUNDS = (("minimum", "exclusiveMinimum"), ("minLength", ""), ("minItems", ""), ("minProperties", ""))
UPPER_BOUNDS = (("maximum", "exclusiveMaximum"), ("maxLength", ""), ("maxItems", ""), ("maxProperties", ""))


def differences(
    served: Schema,
    spec: Schema,
    paths: Collection[tuple[str, str]],
    *,
    allowed: Collection[str] = (),
    narrower: Collection[str] = (),
) -> list[str]:
    """Compare operations of two OpenAPI documents by the requests that they accept and the responses that they return.

    A served request may accept more than the specification, never less. A served response has the same properties,
    types and required names, and so has the data of its stream's events. Names of schemas, annotations, the order of
    alternatives and equivalent notations of a schema make no difference. A required name without a property counts as
    an error in the document and is ignored. Defaults are compared only if both are present and not null.

    Args:
        served: Document returned by a server.
        spec: Document that it has to match.
        paths: Operations to compare, as (method, path).
        allowed: Places in response bodies that may differ, with everything below them: a property
            (`usage.cost`, `choices[].logprobs`) or one alternative of its value (`choices[].finish_reason="late"`,
            `data[].embedding=string`).
        narrower: Places in request bodies that may differ, in the same notation, and names of parameters.

    Returns:
        A line for each difference, beginning with the operation and the place; none if the documents agree.
    """
    lines: list[str] = []
    for method, path in paths:
        operation = f"{method.upper()} {path}"
        served_operation = _operation(served, method, path)
        spec_operation = _operation(spec, method, path)
        if spec_operation is None or served_operation is None:
            where = "specification" if spec_operation is None else "served document"
            lines.append(f"{operation}: not in the {where}")
            continue
        found = [
            *_parameters(served, spec, served_operation, spec_operation, narrower),
            *_request_body(served, spec, served_operation, spec_operation, narrower),
            *_responses(served, spec, served_operation, spec_operation, allowed),
        ]
        lines += [f"{operation} {line}" for line in dict.fromkeys(found)]
    return lines


def _operation(document: Schema, method: str, path: str) -> Schema | None:
    item: Schema = document.get("paths", {}).get(path, {})
    return item.get(method.lower())


def _parameters(
    served: Schema, spec: Schema, served_operation: Schema, spec_operation: Schema, allowed: Collection[str]
) -> Iterator[str]:
    ours = _parameters_by_name(served, served_operation)
    theirs = _parameters_by_name(spec, spec_operation)
    comparison = Comparison(served, spec, "request")
    for key, parameter in theirs.items():
        place = f"{key[0]} parameter {key[1]}"
        if key not in ours:
            yield f"{place}: missing"
            continue
        if ours[key].get("required") and not parameter.get("required"):
            yield f"{place}: must not be required"
        if key[1] in allowed:
            continue
        for difference in comparison.compare(ours[key].get("schema", {}), parameter.get("schema", {}), ""):
            yield f"{place}{difference.place}: {difference.what}"
    for key, parameter in ours.items():
        if key not in theirs and parameter.get("required"):
            yield f"{key[0]} parameter {key[1]}: is required and not in the specification"


def _parameters_by_name(document: Schema, operation: Schema) -> dict[tuple[str, str], Schema]:
    parameters = [_resolve(document, parameter) for parameter in operation.get("parameters", ())]
    return {(parameter["in"], parameter["name"]): parameter for parameter in parameters}


def _request_body(
    served: Schema, spec: Schema, served_operation: Schema, spec_operation: Schema, allowed: Collection[str]
) -> Iterator[str]:
    ours = _resolve(served, served_operation.get("requestBody", {}))
    theirs = _resolve(spec, spec_operation.get("requestBody", {}))
    if ours.get("required") and not theirs.get("required"):
        yield "request: a body must not be required"
    comparison = Comparison(served, spec, "request")
    yield from _contents(comparison, ours.get("content", {}), theirs.get("content", {}), "request", allowed)


def _responses(
    served: Schema, spec: Schema, served_operation: Schema, spec_operation: Schema, allowed: Collection[str]
) -> Iterator[str]:
    comparison = Comparison(served, spec, "response")
    ours: Schema = served_operation.get("responses", {})
    for status, response in spec_operation.get("responses", {}).items():
        if status not in ours:
            yield f"response {status}: missing"
            continue
        our_content = _resolve(served, ours[status]).get("content", {})
        content = _resolve(spec, response).get("content", {})
        yield from _contents(comparison, our_content, content, f"response {status}", allowed)


def _contents(
    comparison: "Comparison", ours: Schema, theirs: Schema, where: str, allowed: Collection[str]
) -> Iterator[str]:
    for media_type, content in theirs.items():
        if media_type not in ours:
            yield f"{where} {media_type}: missing"
            continue
        our_body = _body(comparison.served, media_type, ours[media_type])
        body = _body(comparison.spec, media_type, content)
        for difference in comparison.compare(our_body, body, ""):
            place = difference.place.removeprefix(".")
            if not any(_is_within(place, entry) for entry in allowed):
                yield f"{where} {media_type} {place or 'body'}: {difference.what}"


def _body(document: Schema, media_type: str, content: Schema) -> Schema:
    """Return the schema of a body, or of the data of an event in either of its notations."""
    schema: Schema = content.get("schema", content.get("itemSchema", {}))
    if media_type != "text/event-stream":
        return schema
    data: Schema = _flatten(document, schema).get("properties", {}).get("data", {})
    content_schema: Schema = data.get("contentSchema", data)
    return content_schema


def _is_within(place: str, entry: str) -> bool:
    return place == entry or (place.startswith(entry) and place[len(entry)] in ".[=")


@dataclass(frozen=True)
class Difference:
    place: str
    what: str


@dataclass(frozen=True)
class Alternative:
    """One alternative of a schema: a value (`kind` is its JSON), a type, or "any"."""

    kind: str
    schema: Schema

    @property
    def is_value(self) -> bool:
        return self.kind not in TYPES

    @property
    def type_of_value(self) -> str | None:
        value: object = json.loads(self.kind)
        return TYPES_OF_VALUES.get(type(value))


@dataclass
class Comparison:
    """Comparison of schemas of two documents; `place` is the JSON path below the body."""

    served: Schema
    spec: Schema
    direction: Direction
    underway: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def compare(self, ours: Schema, theirs: Schema, place: str) -> list[Difference]:
        """Return the differences between a served schema and the specification's; either may be recursive."""
        pair = (json.dumps(ours, sort_keys=True), json.dumps(theirs, sort_keys=True))
        if pair in self.underway:
            return []
        self.underway.add(pair)
        found = [*self._defaults(ours, theirs, place), *self._alternatives(ours, theirs, place)]
        self.underway.remove(pair)
        return found

    def _defaults(self, ours: Schema, theirs: Schema, place: str) -> Iterator[Difference]:
        default = _flatten(self.spec, theirs).get("default")
        our_default = _flatten(self.served, ours).get("default")
        if default is not None and our_default is not None and default != our_default:
            yield Difference(place, f"the default is {json.dumps(our_default)} and not {json.dumps(default)}")

    def _alternatives(self, ours: Schema, theirs: Schema, place: str) -> Iterator[Difference]:
        unmatched = our_alternatives = _alternatives(self.served, ours)
        for alternative in _alternatives(self.spec, theirs):
            best = self._nearest(our_alternatives, alternative)
            if best is None:
                yield Difference(f"{place}={alternative.kind}", "missing")
                continue
            unmatched = [ours for ours in unmatched if ours is not best]
            yield from self._details(best, alternative, place)
        if self.direction == "response":
            for alternative in unmatched:
                yield Difference(f"{place}={alternative.kind}", "not in the specification")

    def _fits(self, ours: Alternative, theirs: Alternative) -> bool:
        if ours.kind == theirs.kind:
            return True
        if self.direction == "response":
            return False
        kind = theirs.type_of_value if theirs.is_value else theirs.kind
        return ours.kind in {"any", kind} or (ours.kind == "number" and kind == "integer")

    def _nearest(self, our_alternatives: list[Alternative], theirs: Alternative) -> Alternative | None:
        """Return the object with the same tag (such as a message's role), or else with the fewest differences."""
        candidates = [ours for ours in our_alternatives if self._fits(ours, theirs)]
        tags = _tags(self.spec, theirs.schema)
        namesakes = [ours for ours in candidates if _agree(_tags(self.served, ours.schema), tags)]
        candidates = namesakes or candidates
        if len(candidates) < 2:
            return next(iter(candidates), None)
        return min(candidates, key=lambda ours: len(list(self._details(ours, theirs, ""))))

    def _details(self, ours: Alternative, theirs: Alternative, place: str) -> Iterator[Difference]:
        if ours.kind != theirs.kind and (ours.kind, theirs.kind) != ("number", "integer"):
            return
        if theirs.kind == "array":
            yield from self.compare(ours.schema.get("items", {}), theirs.schema.get("items", {}), f"{place}[]")
        if theirs.kind == "object":
            yield from self._properties(ours.schema, theirs.schema, place)
            yield from self._other_properties(ours.schema, theirs.schema, place)
        if not theirs.is_value:
            yield from self._format(ours.schema, theirs.schema, place)
        if not theirs.is_value and self.direction == "request":
            yield from _tighter_bounds(ours.schema, theirs.schema, place)

    def _properties(self, ours: Schema, theirs: Schema, place: str) -> Iterator[Difference]:
        our_properties: Schema = ours.get("properties", {})
        properties: Schema = theirs.get("properties", {})
        for name, schema in properties.items():
            if name in our_properties:
                yield from self.compare(our_properties[name], schema, f"{place}.{name}")
            else:
                yield Difference(f"{place}.{name}", "missing")
        is_response = self.direction == "response"
        if is_response and properties:
            for name in sorted(our_properties.keys() - properties.keys()):
                yield Difference(f"{place}.{name}", "not in the specification")
        required = properties.keys() & theirs.get("required", ())
        our_required = our_properties.keys() & ours.get("required", ())
        for name in sorted(our_required - required):
            if not is_response or name in properties:
                yield Difference(f"{place}.{name}", "must not be required")
        for name in sorted((required - our_required) & our_properties.keys()):
            if is_response:
                yield Difference(f"{place}.{name}", "must be required")

    def _other_properties(self, ours: Schema, theirs: Schema, place: str) -> Iterator[Difference]:
        """Compare ``additionalProperties`` if both schemas have it; without it, a schema agrees with any other."""
        our_others, others = ours.get("additionalProperties"), theirs.get("additionalProperties")
        if our_others is None or others is None:
            return
        if our_others is False and others is not False:
            yield Difference(place, "further properties must be allowed")
        elif others is False and our_others is not False:
            if self.direction == "response":
                yield Difference(place, "further properties must not be allowed")
        elif others is not False:
            yield from self.compare(_as_schema(our_others), _as_schema(others), f"{place}.*")

    def _format(self, ours: Schema, theirs: Schema, place: str) -> Iterator[Difference]:
        our_format, their_format = _format(ours), _format(theirs)
        if our_format == their_format or (our_format is None and self.direction == "request"):
            return
        yield Difference(place, f"the format is {our_format or 'free'} and not {their_format or 'free'}")


def _tighter_bounds(ours: Schema, theirs: Schema, place: str) -> Iterator[Difference]:
    for names, sign in ((LOWER_BOUNDS, 1), (UPPER_BOUNDS, -1)):
        for inclusive, exclusive in names:
            bound, our_bound = _bound(theirs, inclusive, exclusive, sign), _bound(ours, inclusive, exclusive, sign)
            if our_bound is not None and (bound is None or our_bound > bound):
                value, is_exclusive = our_bound
                yield Difference(place, f"{exclusive if is_exclusive else inclusive} {value * sign:g} is too narrow")
    if "pattern" in ours and ours["pattern"] != theirs.get("pattern"):
        yield Difference(place, f"the pattern {ours['pattern']} is too narrow")


def _bound(schema: Schema, inclusive: str, exclusive: str, sign: int) -> tuple[float, bool] | None:
    """Return the tightest bound and true if it is exclusive, as a pair that is greater for a tighter bound."""
    bounds = [(sign * schema[name], name == exclusive) for name in (inclusive, exclusive) if name in schema]
    return max(bounds, default=None)


def _format(schema: Schema) -> str | None:
    """Return the format; an uploaded file has two notations."""
    return "binary" if "contentMediaType" in schema else schema.get("format")


def _tags(document: Schema, schema: Schema) -> dict[str, str]:
    """Return the properties of an object that have a single possible value."""
    found: dict[str, str] = {}
    for name, property_schema in schema.get("properties", {}).items():
        alternatives = _alternatives(document, property_schema)
        if len(alternatives) == 1 and alternatives[0].is_value:
            found[name] = alternatives[0].kind
    return found


def _agree(our_tags: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    return all(our_tags[name] == tags[name] for name in our_tags.keys() & tags.keys())


def _alternatives(document: Schema, schema: Schema) -> list[Alternative]:
    """Return the distinct plain alternatives of a schema."""
    flat = {key: value for key, value in _flatten(document, schema).items() if key not in ANNOTATIONS}
    options: list[Schema] = flat.pop("anyOf", []) + flat.pop("oneOf", [])
    if options:
        found = [each for option in options for each in _alternatives(document, flat | _flatten(document, option))]
    elif "const" in flat or "enum" in flat:
        values = [flat["const"]] if "const" in flat else flat["enum"]
        found = [Alternative(json.dumps(value), flat) for value in values]
    else:
        types = flat.get("type") or ("object" if "properties" in flat else "array" if "items" in flat else "any")
        found = [Alternative(kind, flat) for kind in ([types] if isinstance(types, str) else types)]
    return [each for index, each in enumerate(found) if each not in found[:index]]


def _flatten(document: Schema, schema: Schema) -> dict[str, Any]:
    """Return a schema with its reference resolved and the parts of its ``allOf`` merged."""
    flat = dict(_resolve(document, schema))
    for part in flat.pop("allOf", ()):
        for key, value in _flatten(document, part).items():
            if key == "properties":
                flat[key] = flat.get(key, {}) | value
            elif key == "required":
                flat[key] = [*flat.get(key, ()), *value]
            else:
                flat.setdefault(key, value)
    return flat


def _resolve(document: Schema, schema: Schema) -> Schema:
    """Return the target of a reference, overridden by the keys next to the reference."""
    while "$ref" in schema:
        target: Any = document
        for key in schema["$ref"].removeprefix("#/").split("/"):
            target = target[key.replace("~1", "/").replace("~0", "~")]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _as_schema(value: Any) -> Schema:
    return {} if value is True else value
