"""Servers that can be compared: their programs, their setups, and their processes."""

import http.client
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.exchange import Dialect, Target
from benchmarks.report import show_progress
from benchmarks.stream_client import Endpoint

HOST = "127.0.0.1"
READY_SECONDS = 180
STOP_SECONDS = 15
POLL_SECONDS = 0.01
SHOWN_LOG_SIZE = 2_000


class ServerError(Exception):
    """A server cannot be found or started, or a request to it failed."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The sizes that all servers have under a load. Loads with equal setups run on one start of a server.

    Attributes:
        name: A name that makes setups of the same sizes different.
        parallel: Sequences that run at once.
        cells: KV cells of all sequences together.
        batch: Most tokens of a batch, where servers must have the same; Ponant always has 512.
        long_sequences: True if one sequence may need more than its share of the cells. llama-server then gets
            `--kv-unified`; without it, each sequence has its share of the cells.
    """

    name: str
    parallel: int
    cells: int
    batch: int | None = None
    long_sequences: bool = False

    def __str__(self) -> str:
        batch = "" if self.batch is None else f", batches of {self.batch}, no cache in memory besides the cells"
        shared = ", one sequence may take more than its share" if self.long_sequences else ""
        return f"{self.parallel} sequences, {self.cells} KV cells{batch}{shared}"


@dataclass(frozen=True, slots=True)
class Resources:
    """Settings of all servers of a benchmark.

    Attributes:
        model: The GGUF file.
        cell_size: Bytes of a KV cell of the model, in F16.
        threads: Threads of the engine.
        data_dir: A folder that Ponant keeps data in from one start to the next.
    """

    model: Path
    cell_size: int
    threads: int
    data_dir: Path


Arguments = Callable[[Resources, Setup, int], list[str]]
"""Return the arguments of a program; the last parameter is the port."""
Environment = Callable[[Resources, Setup], dict[str, str]]
"""Return additional environment variables of a program."""


def no_environment(_resources: Resources, _setup: Setup) -> dict[str, str]:
    """Return no environment variables."""
    return {}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server.

    Attributes:
        name: Name in reports.
        program: Name of the program.
        dialect: API of its chat completions.
        ready_path: Path that answers 200 when the server is ready.
        arguments: Function that returns the program's arguments.
        environment: Function that returns the program's environment variables.
    """

    name: str
    program: str
    dialect: Dialect
    ready_path: str
    arguments: Arguments
    environment: Environment = no_environment


def ponant_arguments(resources: Resources, setup: Setup, port: int) -> list[str]:
    """Return Ponant's arguments, with the KV cache sized in bytes: those of the cells in F16."""
    return [
        *("serve", str(resources.model), "--host", HOST, "--port", str(port)),
        *("--threads", str(resources.threads)),
        *("--parallel", str(setup.parallel)),
        *("--kv-memory", str(setup.cells * resources.cell_size)),
    ]


def ponant_environment(resources: Resources, setup: Setup) -> dict[str, str]:
    """Return Ponant's settings. Equal memory means no prefix cache besides the cells."""
    environment = {"PONANT_DATA_DIR": str(resources.data_dir)}
    if setup.batch is not None:
        environment["PONANT_PREFIX_CACHE_MEMORY"] = "0"
    return environment


def llama_server_arguments(resources: Resources, setup: Setup, port: int) -> list[str]:
    """Return llama-server's arguments. Equal memory means no cache in memory besides the cells."""
    arguments = [
        *("-m", str(resources.model), "--host", HOST, "--port", str(port)),
        *("-t", str(resources.threads)),
        *("-np", str(setup.parallel)),
        *("-c", str(setup.cells)),
    ]
    if setup.batch is not None:
        arguments += ["-b", str(setup.batch), "-ub", str(setup.batch), "--cache-ram", "0"]
    if setup.long_sequences:
        arguments += ["--kv-unified"]
    return arguments


def vllm_arguments(resources: Resources, setup: Setup, port: int) -> list[str]:
    """Return vLLM's arguments; it loads GGUF files with its plugin for them."""
    return [
        *("serve", str(resources.model), "--host", HOST, "--port", str(port)),
        *("--max-num-seqs", str(setup.parallel)),
    ]


def vllm_environment(resources: Resources, setup: Setup) -> dict[str, str]:
    """Return vLLM's settings: threads bound to the first cores, and a KV cache in whole GiB."""
    gibibytes = math.ceil(setup.cells * resources.cell_size / 2**30)
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[: resources.threads]))
    return {"VLLM_CPU_KVCACHE_SPACE": str(gibibytes), "VLLM_CPU_OMP_THREADS_BIND": cores}


def mistral_rs_arguments(resources: Resources, setup: Setup, port: int) -> list[str]:
    """Return the arguments of `mistralrs`, which has no option for the size of the KV cache on a CPU."""
    return [
        *("serve", "--host", HOST, "--port", str(port)),
        *("--format", "gguf", "-m", str(resources.model.parent), "-f", resources.model.name),
        *("--max-seqs", str(setup.parallel)),
    ]


def mistral_rs_server_arguments(resources: Resources, setup: Setup, port: int) -> list[str]:
    """Return the arguments of `mistralrs-server`, the predecessor of `mistralrs`."""
    return [
        *("--serve-ip", HOST, "--port", str(port), "--max-seqs", str(setup.parallel)),
        *("gguf", "-m", str(resources.model.parent), "-f", resources.model.name),
    ]


def mistral_rs_environment(resources: Resources, _setup: Setup) -> dict[str, str]:
    """Return the limit of mistral.rs's threads."""
    return {"RAYON_NUM_THREADS": str(resources.threads)}


PONANT = Kind("Ponant", "ponant", Dialect.MISTRAL, "/ready", ponant_arguments, ponant_environment)
LLAMA_SERVER = Kind("llama-server", "llama-server", Dialect.OPENAI, "/health", llama_server_arguments)
OTHERS = (
    Kind("vLLM", "vllm", Dialect.OPENAI, "/health", vllm_arguments, vllm_environment),
    Kind("mistral.rs", "mistralrs", Dialect.OPENAI, "/health", mistral_rs_arguments, mistral_rs_environment),
    Kind(
        *("mistral.rs", "mistralrs-server", Dialect.OPENAI, "/health"),
        *(mistral_rs_server_arguments, mistral_rs_environment),
    ),
)
"""Servers that are compared if they are installed. Another one needs an entry here and nothing else."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server program with settings.

    Attributes:
        name: Name in reports.
        kind: The kind of server.
        program: Path of the program.
        version: The version that the program prints.
        settings: Environment variables that distinguish it from others of its kind.
    """

    name: str
    kind: Kind
    program: str
    version: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def command(self, resources: Resources, setup: Setup, port: int) -> list[str]:
        """Return the command that starts the server."""
        return [self.program, *self.kind.arguments(resources, setup, port)]

    def environment(self, resources: Resources, setup: Setup) -> dict[str, str]:
        """Return the server's whole environment."""
        return {**os.environ, **self.kind.environment(resources, setup), **self.settings}


def find(kind: Kind, program: str | None = None) -> Contender | None:
    """Return a contender, or None if its program is neither in the folder of this Python nor on PATH.

    Args:
        kind: The kind of server.
        program: The program's name or path, if it is not the usual one.
    """
    folders = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    found = shutil.which(program or kind.program, path=folders)
    return None if found is None else Contender(kind.name, kind, found, program_version(found))


def find_ponant(program: str) -> Contender:
    """Return Ponant.

    Raises:
        ServerError: There is no such program.
    """
    found = find(PONANT, program)
    if found is None:
        raise ServerError(f"no program {program} found")
    return found


def find_llama_server(program: str, kind: Kind = LLAMA_SERVER) -> list[Contender]:
    """Return llama-server, or nothing and a line on stderr if there is no such program."""
    found = find(kind, program)
    if found is None:
        show_progress(f"no program {program} found: Ponant is measured without it")
    return [] if found is None else [found]


def program_version(program: str) -> str:
    """Return the line in which a program prints its version."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    lines = (answer.stdout + answer.stderr).splitlines()
    return next((line.strip() for line in lines if "version" in line.lower()), lines[0].strip() if lines else "unknown")


@contextmanager
def open_resources(ponant: Contender, model: str | Path, threads: int) -> Generator[Resources]:
    """Provide the resources of a model, with a data folder that is removed at the end.

    Args:
        ponant: The program that locates the model and reads its sizes.
        model: The path of a GGUF file, or the name of the bundled model.
        threads: Threads of the engine.

    Raises:
        ServerError: The model cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        inspection = inspect(ponant, model)
        cell_size = (inspection["memory"]["kv_per_1000_tokens"] or 0) // 1000
        if not cell_size:
            raise ServerError(f"{model}: the file does not contain the size of the KV cache")
        yield Resources(Path(inspection["path"]).resolve(), cell_size, threads, Path(folder))


def inspect(ponant: Contender, model: str | Path) -> dict[str, Any]:
    """Return the output of `ponant inspect`: Ponant's own packages are not loaded into this process."""
    command = [ponant.program, "inspect", "--json", str(model)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if answer.returncode:
        raise ServerError(answer.stderr.strip())
    inspection: dict[str, Any] = json.loads(answer.stdout)
    return inspection


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready.

    Attributes:
        target: The target of requests.
        process: Id of its first process.
        started: Start of that process, by `time.perf_counter`.
    """

    target: Target
    process: int
    started: float


@contextmanager
def running(contender: Contender, resources: Resources, setup: Setup) -> Generator[Running]:
    """Start a server on a free loopback port, wait until it is ready, and stop it at the end.

    Raises:
        ServerError: The server ended or was not ready in time; the message has the end of its log.
        OSError: There is no such program.
    """
    port = free_port()
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            contender.command(resources, setup, port),
            env=contender.environment(resources, setup),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until_ready(contender, process, port, log)
            target = Target(Endpoint.parse(f"http://{HOST}:{port}"), contender.kind.dialect)
            yield Running(target, process.pid, started)
        finally:
            stop(process)


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until_ready(contender: Contender, process: subprocess.Popen[bytes], port: int, log: BinaryIO) -> None:
    """Poll the server until it is ready."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready(port, contender.kind.ready_path):
        if process.poll() is not None:
            raise ServerError(f"{contender.name} ended with code {process.returncode}:\n{log_end(log)}")
        if time.monotonic() > deadline:
            raise ServerError(f"{contender.name} was not ready within {READY_SECONDS} s:\n{log_end(log)}")
        time.sleep(POLL_SECONDS)


def is_ready(port: int, path: str) -> bool:
    """Return True if a GET of the path is answered with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def log_end(log: BinaryIO) -> str:
    """Return the last part of a server's log."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - SHOWN_LOG_SIZE))
    return log.read().decode(errors="replace")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Terminate a server, then kill what is left of its process group."""
    try:
        process.terminate()
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
