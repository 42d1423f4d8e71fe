"""Requests with a hostile value at every place of every operation."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from hostile.schema import ApiSchema, Operation, Place
from hostile.values import Value, large_values, small_values

_MARK = "\ue000hostile\ue000"
"""Text in the place of a value while the rest of a body is encoded."""
_BOUNDARY = "hostile-boundary"
_LONGEST_IN_ADDRESS = 20_000
"""Most bytes of a value in the address of a request; longer ones are refused before any route."""
FORM = f"multipart/form-data; boundary={_BOUNDARY}"
JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        name: name in reports: the operation, the place, and the value.
        method: HTTP method.
        target: path with the query.
        body: body.
        content_type: type of the body; None without one.
        statuses: documented statuses.
    """

    name: str
    method: str
    target: str
    body: bytes = b""
    content_type: str | None = None
    statuses: frozenset[int] = frozenset()


class RequestMaker:
    """Maker of requests.

    Args:
        schema: schema of the API.
        known: values of the parameters in paths, such as the id of an existing file.
    """

    def __init__(self, schema: ApiSchema, known: Mapping[str, str]) -> None:
        self._schema = schema
        self._known = known
        self._small = small_values()

    def small(self, operation: Operation, *, outer: bool = False) -> Iterator[Request]:
        """Yield requests with each small value at each place of an operation; only at outer fields if asked for."""
        for value in self._small:
            yield from self._with_parameters(operation, value)
        for place in self._places(operation):
            if outer and place.is_inner:
                continue
            for value in self._small:
                yield self._request(operation, place, value)

    def large(self, operation: Operation, size: int) -> Iterator[Request]:
        """Yield requests with each kind of large value, of about ``size`` bytes, at each place of an operation."""
        for value in large_values(min(size, _LONGEST_IN_ADDRESS), '"a"'):
            yield from self._with_parameters(operation, value)
        for place in self._places(operation):
            for value in large_values(size, self._item(place)):
                yield self._request(operation, place, value)
        if operation.form:
            yield from self._large_forms(operation, size)

    def valid(self, operation: Operation) -> Request:
        """Return a request with ordinary values."""
        body = None if operation.body is None else self._schema.valid(operation.body)
        if operation.form:
            return self._sent(operation, f"{operation.name} valid", _form(_fields(body)), FORM)
        encoded = b"" if body is None else json.dumps(body).encode()
        return self._sent(operation, f"{operation.name} valid", encoded, JSON)

    def _places(self, operation: Operation) -> list[Place]:
        return [] if operation.body is None else self._schema.places(operation.body)

    def _item(self, place: Place) -> str:
        """Return the JSON text of a valid item of a place."""
        schema = self._schema.resolved(place.schema)
        lists = [part for part in (schema, *schema.get("anyOf", ())) if part.get("type") == "array"]
        return json.dumps(self._schema.valid(lists[0]["items"])) if lists and "items" in lists[0] else '{"a":1}'

    def _request(self, operation: Operation, place: Place, value: Value) -> Request:
        name = f"{operation.name} {place.name or 'body'}: {value.name}"
        if operation.form:
            fields = _fields(place.fill(_MARK))
            return self._sent(operation, name, _form(fields).replace(_MARK.encode(), _unquoted(value.text)), FORM)
        text = json.dumps(place.fill(_MARK), ensure_ascii=False).encode()
        return self._sent(operation, name, text.replace(f'"{_MARK}"'.encode(), value.text), JSON)

    def _sent(self, operation: Operation, name: str, body: bytes, kind: str) -> Request:
        target = operation.path
        for parameter in operation.parameters:
            target = target.replace(f"{{{parameter.name}}}", self._known.get(parameter.name, "unknown"))
        return Request(name, operation.method, target, body, kind if body else None, operation.statuses)

    def _with_parameters(self, operation: Operation, value: Value) -> Iterator[Request]:
        """Yield requests with a value in each parameter."""
        text = _unquoted(value.text)[:_LONGEST_IN_ADDRESS]
        plain = self.valid(operation)
        for parameter in operation.parameters:
            if parameter.where == "query":
                target = f"{plain.target}?{urlencode({parameter.name: text})}"
            else:
                target = operation.path.replace(f"{{{parameter.name}}}", quote(text, safe=""))
            name = f"{operation.name} {parameter.name}: {value.name}"
            yield Request(name, plain.method, target, plain.body, plain.content_type, plain.statuses)

    def _large_forms(self, operation: Operation, size: int) -> Iterator[Request]:
        """Yield forms with many parts, long heads, and files that are odd as training files."""
        field = b'--%b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' % _BOUNDARY.encode()
        end = f"--{_BOUNDARY}--\r\n".encode()
        lines = {
            "invalid lines": b"\xff\n" * (size // 2),
            "lines that are not objects": b"1\n" * (size // 2),
            "empty objects": b"{}\n" * (size // 3),
            "one long line": b'{"messages":[' + b"1," * (size // 2) + b"1]}",
            "nested lines": (b"[" * 100 + b"]" * 100 + b"\n") * (size // 200),
        }
        forms = {
            "many fields": field * (size // len(field)) + end,
            "long head": field.replace(b'"a"', b'"' + b"a" * size + b'"') + end,
            "open": field * (size // len(field)),
            **{name: _form({"file": text}) for name, text in lines.items()},
        }
        for name, body in forms.items():
            yield self._sent(operation, f"{operation.name} form: {name}", body, FORM)


def _fields(body: Any) -> dict[str, bytes]:
    fields = body if isinstance(body, dict) else {"file": body}
    return {str(name): str(value).encode() for name, value in fields.items()}


def _form(fields: Mapping[str, bytes]) -> bytes:
    return b"".join([*(_part(name, value) for name, value in fields.items()), f"--{_BOUNDARY}--\r\n".encode()])


def _part(name: str, value: bytes) -> bytes:
    file = '; filename="hostile.jsonl"' if name == "file" else ""
    return f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + value + b"\r\n"


def _unquoted(text: bytes) -> bytes:
    """Return the content of a JSON string as it is, and any other JSON text unchanged."""
    return text[1:-1] if text[:1] == b'"' else text


def upload(content: bytes) -> Request:
    """Return the request that uploads a training file."""
    return Request("upload", "POST", "/v1/files", _form({"file": content}), FORM)


def with_prefix(requests: Iterable[Request], prefix: str) -> Iterator[Request]:
    """Yield requests in the dialect that a prefix of the path selects. Its answers are not in the schema."""
    for request in requests:
        yield replace(
            request, name=f"{prefix} {request.name}", target=prefix + request.target, statuses=frozenset[int]()
        )
