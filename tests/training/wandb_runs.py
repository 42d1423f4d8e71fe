"""Files of Weights & Biases, and a minimal server that lets runs begin."""

import json
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_BLOCK = 32 * 1024
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def read_history(folder: Path) -> dict[int, dict[str, float]]:
    """Return the metrics by step of all processes of a run; later ones override earlier ones."""
    from wandb.proto import wandb_internal_pb2

    messages: Any = wandb_internal_pb2  # the module has no type annotations
    history: dict[int, dict[str, float]] = {}
    for path in sorted(folder.glob("wandb/*run-2*/*.wandb")):
        for data in _records(path.read_bytes()):
            record = messages.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                row = {
                    item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
                }
                values = {key: value for key, value in row.items() if not key.startswith("_")}
                history.setdefault(record.history.step.num, {}).update(values)
    return history


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a log in LevelDB's format, after its 7-byte header."""
    place, record = 7, b""
    while place < len(content):
        if _BLOCK - place % _BLOCK < 7:
            place += _BLOCK - place % _BLOCK
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        part = content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or len(part) < length:
            return
        record = part if kind in (_FULL, _FIRST) else record + part
        if kind in (_FULL, _LAST):
            yield record


class StandIn:
    """Server that starts runs or refuses their key, and records requests."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses
        self.asked: list[dict[str, Any]] = []
        self.url = ""

    def answer(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(asked)
        if self.refuses:
            return 401, {"errors": [{"message": "user is not logged in"}]}
        given = asked.get("variables", {})
        if "CreateRunFiles" in asked.get("query", ""):
            return 200, {"data": {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": []}}}
        project = {"id": "1", "name": given.get("project"), "entity": {"id": "1", "name": "someone"}}
        run = {"id": "1", "name": given.get("name"), "displayName": given.get("displayName"), "project": project}
        return 200, {"data": {"upsertBucket": {"bucket": run, "inserted": True}}}


@contextmanager
def stand_in(*, refuses: bool = False) -> Iterator[StandIn]:
    """Run a server for the duration of the block."""
    state = StandIn(refuses=refuses)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, answer = state.answer(json.loads(body) if self.path == "/graphql" else {})
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
