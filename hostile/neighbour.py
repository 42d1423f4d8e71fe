"""The trial of neighbours: the rate of ordinary streams next to a hostile client."""

import contextlib
import http.client
import itertools
import json
import multiprocessing
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from hostile.findings import Finding
from hostile.http_client import HOST, HttpClient
from hostile.requests import Request, RequestMaker
from hostile.results import Part
from hostile.schema import ApiSchema
from hostile.tolerated import fetch_document
from tests.serving import serving
from tests.tiny_model import write_tiny_model

_STREAMS = 7
_LEAST_RATE = 0.8
_ROUNDS, _SECONDS = 5, 4.0
_SIZE = 400_000
"""Size of a large value in bytes."""
_PATIENCE = 60
_NEVER_ENDS = {"max_tokens": 60_000, "min_tokens": 60_000, "stream": True}


def try_neighbour() -> Part:
    """Measure seven streams alone and next to a hostile client, by turns."""
    part = Part("seven streams, one hostile client")
    with tempfile.TemporaryDirectory(prefix="ponant-hostile-") as folder:
        model = Path(folder) / "endless.gguf"
        write_tiny_model(model, context_length=65536)
        with serving(str(model), PONANT_PARALLEL="16") as server:
            port = int(server.url.rpartition(":")[2])
            alone, next_to = [], []
            with _streams(port) as received:
                for _ in range(_ROUNDS):
                    alone.append(_rate(received))
                    with _hostile_client(port):
                        next_to.append(_rate(received))
            part.requests = _ROUNDS
    part.rate = statistics.median(next_to) / max(statistics.median(alone), 1e-9)
    if part.rate < _LEAST_RATE:
        detail = f"{100 * part.rate:.0f}% of {statistics.median(alone):.0f} chunks/s, at least {100 * _LEAST_RATE:.0f}%"
        part.findings.append(Finding("starved streams", part.name, detail))
    return part


def _rate(received: list[int]) -> float:
    """Return the chunks per second of all streams."""
    time.sleep(0.5)
    before, began = sum(received), time.perf_counter()
    time.sleep(_SECONDS)
    return (sum(received) - before) / (time.perf_counter() - began)


@contextlib.contextmanager
def _streams(port: int) -> Iterator[list[int]]:
    """Read streams in the background; yield the number of chunks of each."""
    received = [0] * _STREAMS
    ended = threading.Event()
    threads = [
        threading.Thread(target=_read, args=(port, received, index, ended), daemon=True) for index in range(_STREAMS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield received
    finally:
        ended.set()
        for thread in threads:
            thread.join(_PATIENCE)


def _read(port: int, received: list[int], index: int, ended: threading.Event) -> None:
    """Read one stream after the other."""
    while not ended.is_set():
        connection = http.client.HTTPConnection(HOST, port, timeout=_PATIENCE)
        body = {"messages": [{"role": "user", "content": f"Stream {index}"}], **_NEVER_ENDS}
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            while not ended.is_set() and (line := response.readline()):
                received[index] += line.startswith(b"data:")
        connection.close()


@contextlib.contextmanager
def _hostile_client(port: int) -> Iterator[None]:
    """Run the hostile client in a process of its own."""
    client = multiprocessing.get_context("spawn").Process(target=_be_hostile, args=(port,), daemon=True)
    client.start()
    try:
        yield
    finally:
        client.kill()
        client.join()


def _be_hostile(port: int) -> None:
    """Send large requests to the endpoints with bodies, one after the other, until the process is killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    schema = ApiSchema(fetch_document(f"http://{HOST}:{port}", timeout=_PATIENCE))
    maker = RequestMaker(schema, {})
    operations = [operation for operation in schema.operations() if operation.body and not operation.form]
    requests: list[Request] = []
    for operation in operations:
        requests += itertools.islice(maker.large(operation, _SIZE), 0, None, 97)
    client = HttpClient(port, _PATIENCE)
    for request in itertools.cycle(requests):
        client.send(request)
