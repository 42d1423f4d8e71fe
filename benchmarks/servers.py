"""The servers that are compared: how each is started, known to be ready, and stopped."""

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from benchmarks.dialects import Dialect
from benchmarks.stream_client import Endpoint
from benchmarks.weights import kv_cell_size

HOST = "127.0.0.1"
READY_SECONDS = 180
STOP_SECONDS = 15
POLL_SECONDS = 0.05
SHOWN_LOG_SIZE = 2_000


class ServerError(Exception):
    """A server did not start."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What every server is given alike."""

    model: Path
    context_cells: int
    threads: int
    parallel: int


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be started on any port.

    Attributes:
        name: What reports call it.
        version: The version it says it has.
        command: The command that starts it, without the port.
        ready_path: The path that answers 200 once it serves.
        dialect: The API its chat completions are asked in.
    """

    name: str
    version: str
    command: tuple[str, ...]
    ready_path: str
    dialect: Dialect


def ponant(program: str, resources: Resources) -> Server:
    """Return a Ponant with the given resources; its KV cache is sized in bytes, as many as the cells take in F16."""
    kv_bytes = resources.context_cells * kv_cell_size(resources.model)
    command = (
        *(program, "serve", str(resources.model), "--host", HOST),
        *("--threads", str(resources.threads)),
        *("--parallel", str(resources.parallel)),
        *("--kv-memory", str(kv_bytes)),
    )
    return Server("Ponant", program_version(program), command, "/ready", Dialect.MISTRAL)


def llama_server(program: str, resources: Resources) -> Server:
    """Return a llama-server with the given resources."""
    command = (
        *(program, "-m", str(resources.model), "--host", HOST),
        *("-t", str(resources.threads)),
        *("-np", str(resources.parallel)),
        *("-c", str(resources.context_cells)),
    )
    return Server("llama-server", program_version(program), command, "/health", Dialect.OPENAI)


def program_version(program: str) -> str:
    """Return the line in which a program names its version."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    lines = (answer.stdout + answer.stderr).splitlines()
    return next((line.strip() for line in lines if "version" in line.lower()), lines[0].strip() if lines else "unknown")


@contextmanager
def running(server: Server) -> Generator[Endpoint]:
    """Start a server on a free loopback port, wait until it is ready, and stop it at the end, whatever happens.

    Raises:
        ServerError: It ended, or was not ready in time; the message holds the end of its log.
    """
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*server.command, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until_ready(server, process, port, log)
            yield Endpoint.parse(f"http://{HOST}:{port}")
        finally:
            stop(process)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until_ready(server: Server, process: subprocess.Popen[bytes], port: int, log: BinaryIO) -> None:
    """Ask until the server says it is ready."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready(port, server.ready_path):
        if process.poll() is not None:
            raise ServerError(f"{server.name} ended with code {process.returncode}:\n{log_end(log)}")
        if time.monotonic() > deadline:
            raise ServerError(f"{server.name} was not ready within {READY_SECONDS} s:\n{log_end(log)}")
        time.sleep(POLL_SECONDS)


def is_ready(port: int, path: str) -> bool:
    """Tell whether a GET of the path gives 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def log_end(log: BinaryIO) -> str:
    """Return the last part of what the server wrote."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - SHOWN_LOG_SIZE))
    return log.read().decode(errors="replace")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, then kill what is left of its process group."""
    try:
        process.terminate()
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
