"""Starts a server, knows when it is ready, and stops it."""

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
from typing import BinaryIO

from benchmarks.servers import HOST, Contender
from benchmarks.setups import Given, Setup
from benchmarks.stream_client import Endpoint

READY_SECONDS = 180
STOP_SECONDS = 15
POLL_SECONDS = 0.01
SHOWN_LOG_SIZE = 2_000


class ServerError(Exception):
    """A server did not start."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready.

    Attributes:
        endpoint: Where it listens.
        process: The id of its first process.
        started: When that was started, by `time.perf_counter`.
    """

    endpoint: Endpoint
    process: int
    started: float


@contextmanager
def running(contender: Contender, given: Given, setup: Setup) -> Generator[Running]:
    """Start a server on a free loopback port, wait until it is ready, and stop it at the end, whatever happens.

    Raises:
        ServerError: It ended, or was not ready in time; the message holds the end of its log.
        OSError: There is no such program.
        ValueError: The weights cannot be read.
    """
    port = free_port()
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            contender.command(given, setup, port),
            env=contender.environment(given, setup),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until_ready(contender, process, port, log)
            yield Running(Endpoint.parse(f"http://{HOST}:{port}"), process.pid, started)
        finally:
            stop(process)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until_ready(contender: Contender, process: subprocess.Popen[bytes], port: int, log: BinaryIO) -> None:
    """Ask until the server says it is ready."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready(port, contender.kind.ready_path):
        if process.poll() is not None:
            raise ServerError(f"{contender.name} ended with code {process.returncode}:\n{log_end(log)}")
        if time.monotonic() > deadline:
            raise ServerError(f"{contender.name} was not ready within {READY_SECONDS} s:\n{log_end(log)}")
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
