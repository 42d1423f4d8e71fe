"""Devices that llama.cpp can compute on, through ggml's registry: the processor, GPUs, and RPC servers."""

import ctypes
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ponant.errors import ModelLoadError
from ponant.llamacpp.bindings import c

RPC_SCHEME = "rpc://"
_CONNECT_SECONDS = 5.0

DeviceKind = Literal["cpu", "gpu", "integrated", "accelerator"]
"""``gpu`` has memory of its own, ``integrated`` shares that of the machine, ``accelerator`` helps the processor."""

_KINDS: dict[int, DeviceKind] = {0: "cpu", 1: "gpu", 2: "integrated", 3: "accelerator"}
_LIBRARY_NAMES = ("lib{}.so", "lib{}.dylib", "{}.dll")


@dataclass(frozen=True, slots=True)
class Device:
    """A device of ggml.

    Attributes:
        name: name in ggml, such as ``CUDA0``, ``Metal`` or ``RPC0``.
        description: name of the product.
        kind: kind of the device.
        free: free memory in bytes; 0 if the device does not report it.
        total: total memory in bytes; 0 if the device does not report it.
        backend: name of the backend, such as ``CUDA``.
    """

    name: str
    description: str
    kind: DeviceKind
    free: int
    total: int
    backend: str

    @property
    def has_memory(self) -> bool:
        """True if layers of a model can be placed on the device."""
        return self.kind in ("gpu", "integrated")


def devices() -> list[Device]:
    """Return the devices of this process, those of connected RPC servers included, in ggml's order."""
    return [_describe(handle) for handle in _handles()]


def connect_rpc(address: str) -> list[str]:
    """Connect to an RPC server and return the names of its devices here.

    Args:
        address: ``rpc://host:port``.

    Raises:
        ModelLoadError: the build has no RPC backend, or nothing answers at the address.
    """
    library = ggml_library("ggml-rpc")
    if library is None:
        raise ModelLoadError(f"{address}: this build of llama.cpp has no RPC backend; set it up with make serve")
    _check_answers(address)
    before = {device.name for device in devices()}
    add = library.ggml_backend_rpc_add_server
    add.restype, add.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    registry = add(address.removeprefix(RPC_SCHEME).encode())
    if not registry:
        raise ModelLoadError(f"{address}: no RPC server answers; start one with ponant rpc-server")
    _ggml().ggml_backend_register(ctypes.c_void_p(registry))
    return [device.name for device in devices() if device.name not in before]


def _check_answers(address: str) -> None:
    """Raise ModelLoadError if nothing listens at an address, as ggml ends the process then."""
    host, _, port = address.removeprefix(RPC_SCHEME).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except ValueError:
        raise ModelLoadError(f"{address} is not of the form rpc://host:port") from None
    except OSError as error:
        raise ModelLoadError(
            f"{address}: no RPC server answers ({error}); start one there with ponant rpc-server"
        ) from None


def has_rpc() -> bool:
    """Return True if this build of llama.cpp has the RPC backend."""
    return ggml_library("ggml-rpc") is not None


def serve_rpc(host: str, port: int, *, threads: int, cache_dir: Path | None = None) -> None:
    """Serve the devices with memory of this machine, or else its processor, to other machines. Returns at the end.

    Args:
        host: address to listen on.
        port: port to listen on.
        threads: compute threads of the processor.
        cache_dir: folder of a cache of weights; None for no cache.

    Raises:
        ModelLoadError: the build has no RPC backend.
    """
    library = ggml_library("ggml-rpc")
    if library is None:
        raise ModelLoadError("this build of llama.cpp has no RPC backend; set it up with make serve")
    found = list(_handles())
    offered = [handle for handle in found if _describe(handle).has_memory] or found[:1]
    pointers = (ctypes.c_void_p * len(offered))(*offered)
    start = library.ggml_backend_rpc_start_server
    start.restype = None
    start.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    folder = str(cache_dir).encode() if cache_dir else None
    start(f"{host}:{port}".encode(), folder, threads, len(offered), pointers)


def device_pointers(names: Sequence[str]) -> Any:
    """Return a NULL-ended array of ggml's handles of the devices with these names. Raises ModelLoadError."""
    by_name = {_describe(handle).name: handle for handle in _handles()}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise ModelLoadError(f"there is no device {missing[0]}; this machine has {', '.join(by_name)}")
    return (ctypes.c_void_p * (len(names) + 1))(*[by_name[name] for name in names], None)


def host_buffer_type() -> int:
    """Return ggml's handle of the type of buffers in the memory of this machine."""
    base = _base()
    base.ggml_backend_dev_buffer_type.restype = ctypes.c_void_p
    processor = next(handle for handle in _handles() if _describe(handle).kind == "cpu")
    return int(base.ggml_backend_dev_buffer_type(ctypes.c_void_p(processor)))


def _describe(handle: int) -> Device:
    base, device = _base(), ctypes.c_void_p(handle)
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    base.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    registry = ctypes.c_void_p(base.ggml_backend_dev_backend_reg(device))
    return Device(
        name=_text(base.ggml_backend_dev_name(device)),
        description=_text(base.ggml_backend_dev_description(device)),
        kind=_KINDS.get(base.ggml_backend_dev_type(device), "accelerator"),
        free=free.value,
        total=total.value,
        backend=_text(base.ggml_backend_reg_name(registry)),
    )


def _handles() -> Iterator[int]:
    library = _ggml()
    for index in range(library.ggml_backend_dev_count()):
        yield library.ggml_backend_dev_get(ctypes.c_size_t(index))


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _ggml() -> Any:
    library = ggml_library("ggml")
    assert library
    library.ggml_backend_dev_count.restype = ctypes.c_size_t
    library.ggml_backend_dev_get.restype = ctypes.c_void_p
    return library


def _base() -> Any:
    library = ggml_library("ggml-base")
    assert library
    for function in (
        library.ggml_backend_dev_name,
        library.ggml_backend_dev_description,
        library.ggml_backend_reg_name,
    ):
        function.restype = ctypes.c_char_p
    library.ggml_backend_dev_backend_reg.restype = ctypes.c_void_p
    return library


def ggml_library(name: str) -> ctypes.CDLL | None:
    """Return a library of llama.cpp, which lies in the folder of the bindings; None if the build lacks it."""
    folder = Path(c.__file__).parent / "lib"
    for pattern in _LIBRARY_NAMES:
        path = folder / pattern.format(name)
        if path.exists():
            return ctypes.CDLL(str(path))
    return None
