"""``ponant serve`` in a process of its own."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

START_SECONDS = 60
THREADS = int(os.environ.get("PONANT_TEST_THREADS", "1"))
"""Compute threads of served models; the default of one leaves the other core to the second test process."""
EXACT = {"PONANT_FLASH_ATTENTION": "false", "PONANT_KV_TYPE": "f32"}
"""Settings under which a tiny F32 model gives equal results for every shape of batch."""


@dataclass
class RunningServer:
    """Server at ``url``."""

    url: str

    def client(self, *, key: str | None = None, timeout: float = 120) -> httpx2.Client:
        """Return an HTTP client of this server, without the certificates that take 35 ms to load."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=timeout, verify=False)


@dataclass
class ServerProcess(RunningServer):
    """Running ``ponant serve``: its process, and its output up to the start of listening."""

    process: subprocess.Popen[bytes]
    printed: str

    def worker(self) -> psutil.Process:
        """Return the engine's worker process."""
        children = psutil.Process(self.process.pid).children()
        (worker,) = [child for child in children if "ponant.engine.llama.worker" in child.cmdline()]
        return worker


def environment(**settings: str) -> dict[str, str]:
    """Return a server's environment: no ``PONANT_*`` settings from outside, and passively waiting OpenMP threads.

    Training runs at normal priority, so that tests that run in parallel cannot starve it.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PONANT_")}
    return clean | {"OMP_WAIT_POLICY": "passive", "PONANT_TRAINING_NICE": "0"} | settings


def ponant(*arguments: str) -> list[str]:
    """Return a command line of the ``ponant`` installed for the running Python."""
    return [str(Path(sys.executable).parent / "ponant"), *arguments]


@contextlib.contextmanager
def serving(
    *arguments: str, cwd: Path | str | None = None, log: Path | str | None = None, **settings: str
) -> Iterator[ServerProcess]:
    """Run ``ponant serve`` on a free port, with a new data folder.

    ``settings`` are environment variables such as ``PONANT_PARALLEL="2"``. ``log`` is the file that receives standard
    error.
    """
    data = tempfile.TemporaryDirectory(prefix="ponant-test-")
    threads = {} if cwd else {"PONANT_THREADS": str(THREADS)}  # a settings file in cwd names them itself
    with Path(log).open("wb") if log else contextlib.nullcontext() as errors:
        process = subprocess.Popen(
            ponant("serve", "--port", "0", "--log-level", "warning", *arguments),
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(XDG_DATA_HOME=data.name) | threads | settings,
            cwd=cwd,
        )
    try:
        printed = _read_until_listening(process)
        match = re.search(r"Listening on (http://\S+)", printed)
        assert match, printed
        yield ServerProcess(match[1], process, printed)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout
        process.stdout.close()
        data.cleanup()


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Poll a condition until it is true; fail after a timeout."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def _read_until_listening(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    printed = ""
    deadline = time.monotonic() + START_SECONDS
    while "curl" not in printed:
        assert select.select([process.stdout], [], [], deadline - time.monotonic())[0], f"no start: {printed}"
        data = os.read(process.stdout.fileno(), 4096)
        assert data, f"the server ended with {process.wait()}: {printed}"
        printed += data.decode()
    return printed
