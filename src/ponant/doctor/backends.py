"""Backends of llama.cpp that this machine can build and run, and the build of the engine for one of them.

It imports nothing but the standard library, as ``make`` runs it as a file before anything is installed:
``python src/ponant/doctor/backends.py auto`` installs the engine into the environment of this Python.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ENGINE = "llama-cpp-python"
_ALWAYS = ("-DGGML_RPC=on",)
_HEADERS = (Path("/usr/include"), Path("/usr/local/include"), Path("/opt/homebrew/include"))


@dataclass(frozen=True, slots=True)
class EngineBuild:
    """A backend of llama.cpp, on this machine.

    Attributes:
        name: value of ``BACKEND`` in ``make serve BACKEND=...``.
        title: name for people.
        arguments: arguments of CMake.
        minutes: usual duration of the build, in minutes on eight cores.
        found: what of it is on this machine.
        missing: what is not, each with the way to get it. Empty if the backend can be built.
        hardware: True if there is hardware for it.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    minutes: str
    found: tuple[str, ...]
    missing: tuple[str, ...]
    hardware: bool

    @property
    def is_ready(self) -> bool:
        """True if the backend can be built and has hardware."""
        return self.hardware and not self.missing

    @property
    def all_arguments(self) -> tuple[str, ...]:
        """Arguments of CMake, with those of every build."""
        return (*self.arguments, *_ALWAYS)


def engine_builds() -> list[EngineBuild]:
    """Return all backends in the order of preference; the processor is last."""
    return [_cuda(), _metal(), _hip(), _vulkan(), _cpu()]


def choose(wish: str, among: Sequence[EngineBuild]) -> EngineBuild:
    """Return the backend with a name, or for ``auto`` the first one that is ready.

    Raises:
        ValueError: there is no such backend, or it cannot be built here. The message says what is missing.
    """
    if wish == "auto":
        return next(backend for backend in among if backend.is_ready)
    chosen = next((backend for backend in among if backend.name == wish), None)
    if chosen is None:
        raise ValueError(f"there is no backend {wish}; choose auto, {', '.join(backend.name for backend in among)}")
    if chosen.missing:
        raise ValueError(f"{chosen.title} cannot be built here: {'; '.join(chosen.missing)}")
    return chosen


def _cuda() -> EngineBuild:
    compiler = _program("nvcc", "/usr/local/cuda/bin/nvcc", "/opt/cuda/bin/nvcc")
    driver = _program("nvidia-smi")
    return _backend(
        "cuda",
        "CUDA (NVIDIA)",
        ["-DGGML_CUDA=on", *([f"-DCMAKE_CUDA_COMPILER={compiler}"] if compiler else [])],
        minutes="5 to 15",
        parts=[
            ("nvcc", compiler, "nvcc was not found: install the CUDA toolkit (Debian: nvidia-cuda-toolkit)"),
            ("the NVIDIA driver", driver, "nvidia-smi was not found: install NVIDIA's driver"),
        ],
        hardware=bool(driver) or Path("/proc/driver/nvidia").exists() or _has_pci_vendor("0x10de"),
    )


def _metal() -> EngineBuild:
    is_mac = platform.system() == "Darwin"
    compiler = _program("clang") if is_mac else None
    return _backend(
        "metal",
        "Metal (Apple)",
        ["-DGGML_METAL=on"],
        minutes="2 to 4",
        parts=[("clang", compiler, "clang was not found: run xcode-select --install" if is_mac else "this is no Mac")],
        hardware=is_mac and platform.machine() == "arm64",
    )


def _hip() -> EngineBuild:
    compiler = _program("hipcc", "/opt/rocm/bin/hipcc")
    device = Path("/dev/kfd")
    return _backend(
        "hip",
        "ROCm (AMD)",
        ["-DGGML_HIP=on"],
        minutes="5 to 15",
        parts=[
            ("hipcc", compiler, "hipcc was not found: install ROCm with its development packages"),
            ("/dev/kfd", str(device) if device.exists() else None, "/dev/kfd was not found: install AMD's driver"),
        ],
        hardware=device.exists(),
    )


def _vulkan() -> EngineBuild:
    compiler = _program("glslc")
    headers = next((str(folder) for folder in _HEADERS if (folder / "vulkan" / "vulkan.h").exists()), None)
    has_gpu = any(_has_pci_vendor(vendor) for vendor in ("0x1002", "0x8086", "0x10de")) or bool(
        list(Path("/dev/dri").glob("renderD*")) if Path("/dev/dri").exists() else []
    )
    return _backend(
        "vulkan",
        "Vulkan",
        ["-DGGML_VULKAN=on"],
        minutes="4 to 8",
        parts=[
            ("glslc", compiler, "glslc was not found: install it (Debian: glslc)"),
            ("Vulkan's headers", headers, "vulkan/vulkan.h was not found: install it (Debian: libvulkan-dev)"),
        ],
        hardware=has_gpu,
    )


def _cpu() -> EngineBuild:
    compiler = _program("c++", "g++", "clang++")
    return _backend(
        "cpu",
        "the processor",
        [],
        minutes="2 (about 5 on two cores)",
        parts=[("a C++ compiler", compiler, "no C++ compiler was found: install one (Debian: g++)")],
        hardware=True,
    )


def _backend(
    name: str,
    title: str,
    arguments: Iterable[str],
    *,
    minutes: str,
    parts: Sequence[tuple[str, str | None, str]],
    hardware: bool,
) -> EngineBuild:
    """Return a backend with its parts: name, path or None, and the advice for a missing one."""
    return EngineBuild(
        name,
        title,
        tuple(arguments),
        minutes,
        found=tuple(f"{part} ({path})" for part, path, _ in parts if path),
        missing=tuple(advice for _, path, advice in parts if not path),
        hardware=hardware,
    )


def _program(*names: str) -> str | None:
    """Return the path of the first program that exists, by name or path."""
    return next((path for name in names if (path := shutil.which(name))), None)


def _has_pci_vendor(vendor: str) -> bool:
    """Return True if a display controller of a vendor is connected, by Linux's list of PCI devices."""
    for device in Path("/sys/bus/pci/devices").glob("*"):
        try:
            is_display = (device / "class").read_text().startswith("0x03")
            if is_display and (device / "vendor").read_text().strip() == vendor:
                return True
        except OSError:
            continue
    return False


def _describe(among: Sequence[EngineBuild], chosen: EngineBuild) -> list[str]:
    """Return lines on what was found, what is built, and what the others need."""
    lines = [f"Engine: llama.cpp for {chosen.title}, which takes {chosen.minutes} minutes to build."]
    lines += [f"  found: {part}" for part in chosen.found]
    for other in among:
        if other is chosen or not other.hardware or other.name == "cpu":
            continue
        state = "; ".join(other.missing) or "make serve would also build it"
        lines.append(f"  {other.title} (BACKEND={other.name}): {state}")
    if chosen.name == "cpu":
        lines.append("  For a GPU, see docs/install.md; BACKEND=cuda, metal, hip or vulkan chooses one.")
    return lines


def _wheel_folder(version: str, arguments: Sequence[str]) -> Path:
    """Return the folder of a wheel in the user's cache, by everything that makes a build differ."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    machine = [
        version,
        *arguments,
        sysconfig.get_platform(),
        sys.version,
        _processor(),
    ]
    return base / "ponant" / "engine" / hashlib.sha256(json.dumps(machine).encode()).hexdigest()[:16]


def _processor() -> str:
    """Return the instructions of the processor, as the build uses all of them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def _arguments(backend: EngineBuild) -> list[str]:
    """Return the arguments of CMake: those of the environment, and those of the backend."""
    return [*os.environ.get("CMAKE_ARGS", "").split(), *backend.all_arguments]


def is_installed(backend: EngineBuild) -> bool:
    """Return True if the engine of this environment was built for a backend."""
    try:
        return (Path(sys.prefix) / ".engine-arguments").read_text() == " ".join(_arguments(backend))
    except OSError:
        return False


def install(version: str, backend: EngineBuild) -> None:
    """Build the engine, or take it from the cache, and install it. Raises CalledProcessError."""
    if is_installed(backend):
        return
    arguments = _arguments(backend)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    folder = _wheel_folder(version, arguments)
    if not list(folder.glob("*.whl")):
        building = folder.with_name(f"{folder.name}.{os.getpid()}")
        # Not from pip's cache, which takes wheels of one version for alike, however they were built.
        wheel = [*pip, "wheel", "--quiet", "--no-cache-dir", "--no-deps", "--wheel-dir", str(building)]
        environment = os.environ | {"CMAKE_ARGS": " ".join(arguments)}
        subprocess.run([*wheel, f"{ENGINE}=={version}"], check=True, env=environment)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    wheels = [str(path) for path in folder.glob("*.whl")]
    subprocess.run([*pip, "install", "--quiet", "--force-reinstall", "--no-deps", *wheels], check=True)
    (Path(sys.prefix) / ".engine-arguments").write_text(" ".join(arguments))


def main() -> None:
    """Install the engine for a backend."""
    parser = argparse.ArgumentParser(description="Build llama.cpp for this machine and install it.")
    parser.add_argument("backend", nargs="?", default="auto", help="auto, cuda, metal, hip, vulkan or cpu")
    parser.add_argument("--version", required=True, help=f"version of {ENGINE}")
    parser.add_argument("--dry-run", action="store_true", help="print what would be built")
    options = parser.parse_args()
    among = engine_builds()
    try:
        chosen = choose(options.backend, among)
    except ValueError as error:
        sys.exit(f"BACKEND={options.backend}: {error}")
    if options.dry_run or not is_installed(chosen):
        sys.stderr.write("\n".join(_describe(among, chosen)) + "\n")
    if not options.dry_run:
        try:
            install(options.version, chosen)
        except subprocess.CalledProcessError as error:
            sys.exit(
                f"The engine could not be built (status {error.returncode}). Without a GPU: make serve BACKEND=cpu"
            )


if __name__ == "__main__":
    main()
