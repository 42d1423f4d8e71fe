"""Servers in processes of their own: their start, their measurements and their end."""

import contextlib
import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from hostile.measured_server import MEASURED, USUAL, Measurement
from tests.serving import environment
from tests.tiny_model import write_tiny_model

_START_SECONDS = 60
_ANSWER_SECONDS = 120
_END_SECONDS = 30
SETTINGS = {"request_timeout": 20, "keep_alive": 1000, "queue_limit": 64}
"""Settings of measured servers."""


class ServerLostError(Exception):
    """The measured server ended, or its event loop stands still."""


class MeasuredServer:
    """A measured server, as a context. It can be replaced when it does not answer any more.

    Attributes:
        url: address of the current process.
        starts: number of processes that were started.
    """

    def __init__(self, model: Path, *, descriptors: int | None = None, **settings: Any) -> None:
        """Prepare a server.

        Args:
            model: file with the tokens of the scripted model.
            descriptors: limit of file descriptors; a server with one has the usual event loop, which is not measured.
            settings: settings of the server.
        """
        self.url = ""
        self.starts = 0
        limit = [] if descriptors is None else ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]
        self._command = [
            *(*limit, sys.executable, "-m", "hostile.measured_server"),
            *(str(model), json.dumps(SETTINGS | settings)),
            MEASURED if descriptors is None else USUAL,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "MeasuredServer":
        """Start the server."""
        self._start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """End the server."""
        self._end()

    @property
    def port(self) -> int:
        """Port of the current process."""
        return int(self.url.rpartition(":")[2])

    @property
    def process_id(self) -> int:
        """Id of the current process."""
        assert self._process
        return self._process.pid

    def take(self) -> Measurement:
        """Return the measurement since the last call. Raises ServerLostError."""
        assert self._process
        assert self._process.stdin
        try:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ServerLostError("the server ended") from None
        return msgspec.json.decode(self._line(_ANSWER_SECONDS), type=Measurement)

    def replace(self) -> None:
        """Kill the process and start another one."""
        assert self._process
        self._process.kill()
        self._end()
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
        )
        self.starts += 1
        self.url = self._line(_START_SECONDS).decode().strip()

    def _end(self) -> None:
        assert self._process
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _line(self, seconds: float) -> bytes:
        assert self._process
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise ServerLostError(f"the server does not answer for {seconds} s")
        line: bytes = self._process.stdout.readline()
        if not line:
            raise ServerLostError(f"the server ended with {self._process.wait()}")
        return line


@contextlib.contextmanager
def tiny_model() -> Iterator[Path]:
    """Write the tiny model; yield its file, which has the tokens of scripted models as well."""
    with tempfile.TemporaryDirectory(prefix="ponant-hostile-") as folder:
        path = Path(folder) / "tiny.gguf"
        write_tiny_model(path)
        yield path
