"""The servers that can be compared, and the command that starts each."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.dialects import Dialect
from benchmarks.setups import Given, Setup
from benchmarks.weights import kv_cell_size

HOST = "127.0.0.1"

Arguments = Callable[[Given, Setup, int], list[str]]
"""Returns the arguments of a program, the last parameter being the port."""
Environment = Callable[[Given, Setup], dict[str, str]]
"""Returns environment variables of a program."""


def nothing(_given: Given, _setup: Setup) -> dict[str, str]:
    """Return no environment variables."""
    return {}


@dataclass(frozen=True, slots=True)
class Kind:
    """A server program.

    Attributes:
        name: What reports call it.
        program: The name of the program.
        dialect: The API its chat completions are asked in.
        ready_path: The path that answers 200 once it serves.
        arguments: Makes its arguments.
        environment: Makes its environment variables.
    """

    name: str
    program: str
    dialect: Dialect
    ready_path: str
    arguments: Arguments
    environment: Environment = nothing


def ponant_arguments(given: Given, setup: Setup, port: int) -> list[str]:
    """Size the KV cache in bytes: as many as the cells take in F16."""
    return [
        *("serve", str(given.model), "--host", HOST, "--port", str(port)),
        *("--threads", str(given.threads)),
        *("--parallel", str(setup.parallel)),
        *("--kv-memory", str(setup.cells * kv_cell_size(given.model))),
    ]


def ponant_environment(given: Given, setup: Setup) -> dict[str, str]:
    """Keep everything in the folder that is given. Of equal memory is that no cache grows beside the cells."""
    environment = {"PONANT_DATA_DIR": str(given.data_dir)}
    if setup.batch is not None:
        environment["PONANT_PREFIX_CACHE_MEMORY"] = "0"
    return environment


def llama_server_arguments(given: Given, setup: Setup, port: int) -> list[str]:
    """Leave what a setup does not fix at its default. Of equal memory is also that no cache grows beside the cells."""
    arguments = [
        *("-m", str(given.model), "--host", HOST, "--port", str(port)),
        *("-t", str(given.threads)),
        *("-np", str(setup.parallel)),
        *("-c", str(setup.cells)),
    ]
    if setup.batch is not None:
        arguments += ["-b", str(setup.batch), "-ub", str(setup.batch), "--cache-ram", "0"]
    if setup.long_sequences:
        arguments += ["--kv-unified"]
    return arguments


def vllm_arguments(given: Given, setup: Setup, port: int) -> list[str]:
    """Name the file alone; loading GGUF needs vLLM's plugin for it."""
    return [
        *("serve", str(given.model), "--host", HOST, "--port", str(port)),
        *("--max-num-seqs", str(setup.parallel)),
    ]


def vllm_environment(given: Given, setup: Setup) -> dict[str, str]:
    """Bind the threads to the first cores; the KV cache is sized in whole GiB."""
    gibibytes = math.ceil(setup.cells * kv_cell_size(given.model) / 2**30)
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[: given.threads]))
    return {"VLLM_CPU_KVCACHE_SPACE": str(gibibytes), "VLLM_CPU_OMP_THREADS_BIND": cores}


def mistral_rs_arguments(given: Given, setup: Setup, port: int) -> list[str]:
    """Name the file by its folder and its name; a KV cache of a given size is for accelerators only."""
    return [
        *("serve", "--host", HOST, "--port", str(port)),
        *("--format", "gguf", "-m", str(given.model.parent), "-f", given.model.name),
        *("--max-seqs", str(setup.parallel)),
    ]


def mistral_rs_server_arguments(given: Given, setup: Setup, port: int) -> list[str]:
    """Say the same to the program that came before `mistralrs`."""
    return [
        *("--serve-ip", HOST, "--port", str(port), "--max-seqs", str(setup.parallel)),
        *("gguf", "-m", str(given.model.parent), "-f", given.model.name),
    ]


def mistral_rs_environment(given: Given, _setup: Setup) -> dict[str, str]:
    """Limit its threads."""
    return {"RAYON_NUM_THREADS": str(given.threads)}


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
"""Servers that are compared where they are installed; another one needs an entry here and nothing else."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server program with settings of its own.

    Attributes:
        name: What reports call it.
        kind: What program it is.
        program: Where the program lies.
        version: The version it says it has.
        settings: Environment variables that make it differ from others of its kind.
    """

    name: str
    kind: Kind
    program: str
    version: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    def command(self, given: Given, setup: Setup, port: int) -> list[str]:
        """Return the command that starts it."""
        return [self.program, *self.kind.arguments(given, setup, port)]

    def environment(self, given: Given, setup: Setup) -> dict[str, str]:
        """Return its whole environment."""
        return {**os.environ, **self.kind.environment(given, setup), **self.settings}


def find(kind: Kind, name: str | None = None) -> Contender | None:
    """Return a contender of the kind, or None where its program lies neither beside this Python nor on PATH.

    Args:
        kind: The kind of server.
        name: The program's name or path, if it is not the usual one.
    """
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    program = shutil.which(name or kind.program, path=beside)
    return None if program is None else Contender(kind.name, kind, program, program_version(program))


def program_version(program: str) -> str:
    """Return the line in which a program names its version."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    lines = (answer.stdout + answer.stderr).splitlines()
    return next((line.strip() for line in lines if "version" in line.lower()), lines[0].strip() if lines else "unknown")
