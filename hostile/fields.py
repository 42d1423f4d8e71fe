"""The trial of all fields: hostile values at every place of every operation, one request at a time."""

import json
from collections.abc import Iterator
from itertools import islice

from hostile.findings import Finding
from hostile.http_client import HealthProbe, HttpClient
from hostile.requests import Request, RequestMaker, upload, with_prefix
from hostile.results import Part
from hostile.rules import Answered, violations
from hostile.schema import ApiSchema, Operation
from hostile.server_process import MeasuredServer, ServerLostError
from hostile.tolerated import fetch_document

_DIALECTS = ("/openai", "/nim")
_STRIDE, _LARGE_STRIDE = 11, 4
"""Steps through the requests of the short form, and through the large ones of the full form, 12 minutes in all.
They are coprime to the numbers of values, so all places meet several values, and all values several places.
"""
_WARM_UP = 50
_SHORT_SIZE, _FULL_SIZE = 100_000, 400_000
"""Sizes of large values in bytes."""
_SHORT_PATIENCE, _FULL_PATIENCE = 12.0, 30.0
"""Time limits of a reply in seconds."""
_KNOWN_FILE = b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}'


def try_fields(server: MeasuredServer, *, full: bool) -> list[Part]:
    """Send the requests; return the parts with small and with large values."""
    schema = ApiSchema(fetch_document(server.url, timeout=_FULL_PATIENCE))
    client = HttpClient(server.port, _FULL_PATIENCE)
    known = {"file_id": str(json.loads(client.send(upload(_KNOWN_FILE)).beginning)["id"])}
    client.close()
    maker, operations = RequestMaker(schema, known), schema.operations()
    return [
        _sent(server, Part("odd values"), _small(maker, operations, full=full), full=full),
        _sent(server, Part("large values"), _large(maker, operations, full=full), full=full),
    ]


def _small(maker: RequestMaker, operations: list[Operation], *, full: bool) -> Iterator[Request]:
    step = 1 if full else _STRIDE
    for operation in operations:
        yield from islice(maker.small(operation), 0, None, step)
        for prefix in _DIALECTS if operation.body else ():
            yield from islice(with_prefix(maker.small(operation), prefix), 5, None, 3 * _STRIDE)


def _large(maker: RequestMaker, operations: list[Operation], *, full: bool) -> Iterator[Request]:
    size, step = (_FULL_SIZE, _LARGE_STRIDE) if full else (_SHORT_SIZE, _STRIDE)
    for operation in operations:
        yield from islice(maker.large(operation, size), 0, None, step)
        for prefix in _DIALECTS if operation.body else ():
            yield from islice(with_prefix(maker.large(operation, size), prefix), 5, None, 2 * step)


def _sent(server: MeasuredServer, part: Part, requests: Iterator[Request], *, full: bool) -> Part:
    """Send requests one after the other; a server that does not answer is replaced."""
    patience = _FULL_PATIENCE if full else _SHORT_PATIENCE
    before = server.take().resident
    first: int | None = None
    while True:
        client = HttpClient(server.port, patience)
        with HealthProbe(server.port, patience) as probe:
            for request in requests:
                reply = client.send(request)
                try:
                    client.send(Request("barrier", "GET", "/health"))  # ends the turn that sent the reply
                    measured = server.take()
                except ServerLostError as error:
                    part.findings.append(Finding("server lost", request.name, str(error)))
                    break
                answered = Answered(request, reply, measured, before)
                part.add(answered)
                part.findings.extend(violations(answered, with_times=full))
                before = measured.resident
                first = before if part.requests == _WARM_UP else first
                if reply.is_timeout:
                    break
            else:
                part.longest_health = max(part.longest_health or 0, probe.longest)
                client.close()
                break
        part.longest_health = max(part.longest_health or 0, probe.longest)
        server.replace()
        before, first = server.take().resident, None
    part.kept_memory = None if first is None else before - first
    return part
