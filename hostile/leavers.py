"""The trial of clients that leave: nothing of their requests may keep the processor busy for long."""

import json
import socket
import time

from hostile.findings import Finding
from hostile.http_client import HOST
from hostile.results import Part
from hostile.rules import WORST_TURN
from hostile.server_process import MeasuredServer

_CLIENTS = 6
_GRACE_SECONDS = 1.0
"""Seconds that a request may outlive its client."""
_WATCHED_SECONDS = 1.0
_MOST_PROCESSOR = 0.2
"""Most processor time within the watched seconds, in seconds: the server's own timers, and a collection of garbage."""
_CHAT, _EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"


def try_leavers(server: MeasuredServer) -> Part:
    """Send large requests, leave at once, and measure the processor time that is spent a second later."""
    part = Part("clients that leave")
    server.take()
    for name, path, body in _requests():
        connections = [_sent(server, path, body) for _ in range(_CLIENTS)]
        for connection in connections:
            connection.close()
        part.requests += _CLIENTS
        time.sleep(_GRACE_SECONDS)
        before = server.take()
        time.sleep(_WATCHED_SECONDS)
        after = server.take()
        spent = after.processor - before.processor
        turn = max(before.counts.worst_turn, after.counts.worst_turn)
        if turn > (part.worst_turn or 0):
            part.worst_turn, part.culprits["gap"] = turn, name
        if turn > WORST_TURN:
            detail = f"{1000 * turn:.0f} ms, at most {1000 * WORST_TURN:.0f} ms"
            part.findings.append(Finding("standstill", f"{name}, {len(body)} bytes", detail))
        if spent > _MOST_PROCESSOR:
            detail = f"{spent:.2f} s of processor time between 1 and 2 s after {_CLIENTS} clients had left"
            part.findings.append(Finding("outlives its client", f"{name}, {len(body)} bytes", detail))
    return part


def _requests() -> list[tuple[str, str, bytes]]:
    """Return names, paths and bodies of requests that take long."""
    letters = [{"role": "user" if index % 2 == 0 else "assistant", "content": "a"} for index in range(9_999)]
    text = "the quick brown fox " * 400_000
    wide = {f"p{index}": {"type": "string", "pattern": f"^a{{1,{index + 1}}}$"} for index in range(2_000)}
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": wide}}}
    ask = [{"role": "user", "content": "a"}]
    tools = [{"type": "function", "function": {"name": f"f{index}", "parameters": {}}} for index in range(1_000)]
    bodies = {
        "many messages": (_CHAT, {"messages": letters}),
        "a long message": (_CHAT, {"messages": [{"role": "user", "content": text}]}),
        "a wide schema": (_CHAT, {"messages": ask, "response_format": schema}),
        "many tools": (_CHAT, {"messages": ask, "tools": tools}),
        "many texts": (_EMBEDDINGS, {"model": "mistral-embed", "input": ["a"] * 10_000}),
        "invalid messages": (_CHAT, {"messages": [1] * 400_000}),
    }
    return [(name, path, json.dumps(body).encode()) for name, (path, body) in bodies.items()]


def _sent(server: MeasuredServer, path: str, body: bytes) -> socket.socket:
    """Send a whole request and return the connection."""
    connection = socket.create_connection((HOST, server.port), timeout=30)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return connection
