"""The trial of the engine: odd values in the fields of generations and embeddings, with a model that computes.

Whatever the fields do to one sequence, an ordinary request in between has the same answer as before.
"""

import json
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hostile.findings import Finding
from hostile.http_client import HttpClient
from hostile.requests import JSON, Request, RequestMaker
from hostile.results import Part
from hostile.rules import failures
from hostile.schema import ApiSchema
from hostile.tolerated import fetch_document
from tests.serving import EXACT, serving
from tests.tiny_embedder import write_tiny_embedder

_PATHS = ("/v1/chat/completions", "/v1/fim/completions", "/v1/embeddings")
_STRIDE = 9
"""Step through the requests of the short form; it is coprime to the number of values."""
_PATIENCE = 60
_EVERY = 25
"""Requests between two ordinary ones."""
_ORDINARY = Request(
    "ordinary chat",
    "POST",
    "/v1/chat/completions",
    b'{"messages":[{"role":"user","content":"Hello"}],"max_tokens":16,"min_tokens":16,"temperature":0}',
    JSON,
)


def try_real_engine(model: Path, *, full: bool) -> Part:
    """Send odd values in the outer fields of each request for a model."""
    part = Part("odd values, tiny model")
    with tempfile.TemporaryDirectory(prefix="ponant-hostile-") as folder:
        embedder, log = Path(folder) / "tiny-embedder.gguf", Path(folder) / "log"
        write_tiny_embedder(embedder)
        with serving(str(model), str(embedder), log=log, **EXACT) as server:
            client = HttpClient(int(server.url.rpartition(":")[2]), _PATIENCE)
            expected = _words(client)
            for request in islice(_requests(server.url), 0, None, 1 if full else _STRIDE):
                reply = client.send(request)
                part.requests += 1
                part.statuses[reply.status] += 1
                part.findings.extend(failures(request, reply))
                if part.requests % _EVERY == 0 and _words(client) != expected:
                    part.findings.append(Finding("changed answer", request.name, "the ordinary answer has changed"))
            client.close()
        died = [line for line in log.read_text(errors="replace").splitlines() if "engine died" in line]
    part.findings.extend(Finding("worker died", part.name, line) for line in died)
    return part


def _requests(url: str) -> Iterator[Request]:
    schema = ApiSchema(fetch_document(url, timeout=_PATIENCE))
    maker = RequestMaker(schema, {})
    for operation in schema.operations():
        if operation.path in _PATHS:
            yield from maker.small(operation, outer=True)


def _words(client: HttpClient) -> object:
    """Return the choices of the ordinary answer; the reply itself if it is none."""
    reply = client.send(_ORDINARY)
    return json.loads(reply.beginning)["choices"] if reply.status == 200 else reply
