"""llama.cpp's handles of models, contexts and adapters. A failure raises an error with llama.cpp's reason."""

import ctypes
import os
import re
from pathlib import Path
from typing import Any

from ponant.errors import AdapterError, ModelLoadError
from ponant.llamacpp.bindings import c
from ponant.llamacpp.offload import ON_HOST, Offload, fill_params
from ponant.private_files import open_file

_GGUF_MAGIC = b"GGUF"
_FIRST_OF_SPLIT = re.compile(r"(?P<name>.+)-00001-of-(?P<count>\d{5})\.gguf", re.DOTALL)
_LOG_LEVEL_ERROR = 4
_COMPUTE_BUFFER = re.compile(rb"\s(?P<device>\S+) compute buffer size = +(?P<size>[\d.]+) MiB")
_errors: list[str] = []
_compute_buffers: dict[str, int] = {}


def _keep(level: int, text: bytes, _: Any) -> None:
    """Keep error lines, and the sizes of compute buffers, which llama.cpp states nowhere else."""
    if level == _LOG_LEVEL_ERROR:
        _errors.append(text.decode("utf-8", "replace").strip())
        del _errors[:-20]
    elif found := _COMPUTE_BUFFER.search(text):
        _compute_buffers[found["device"].decode("utf-8", "replace")] = int(float(found["size"]) * 2**20)


_log = c.llama_log_callback(_keep)


def _collect_errors() -> None:
    """Collect the error lines of the next call. A program that imports ``llama_cpp`` itself sets another log."""
    c.llama_log_set(_log, ctypes.c_void_p(0))
    _errors.clear()


_collect_errors()
c.llama_backend_init()


def check_model_file(path: Path) -> None:
    """Raise ModelLoadError unless a path is a readable GGUF file, and the other files of split weights are."""
    for part in parts_of(path):
        _check_magic(part)


def parts_of(path: Path) -> list[Path]:
    """Return the existing files of split weights by the first one; the path itself for any other file."""
    name = _FIRST_OF_SPLIT.fullmatch(path.name)
    if not name:
        return [path]
    numbers = range(2, int(name["count"]) + 1)
    others = [path.with_name(f"{name['name']}-{number:05}-of-{name['count']}.gguf") for number in numbers]
    return [path, *(other for other in others if other.exists())]


def _check_magic(path: Path) -> None:
    try:
        with open_file(path, "rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except FileNotFoundError:
        raise ModelLoadError(f"there is no file {path}") from None
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror}") from None
    if magic != _GGUF_MAGIC:
        raise ModelLoadError(f"{path} is not a GGUF file")


def load_model(path: Path, *, vocab_only: bool, offload: Offload = ON_HOST, no_weights: bool = False) -> Any:
    """Load a model and return llama.cpp's handle of it.

    Args:
        path: GGUF file.
        vocab_only: load the vocabulary alone.
        offload: layers on devices.
        no_weights: allocate nothing, to measure buffers.

    Raises:
        ModelLoadError: the file is not a model, or does not fit.
    """
    check_model_file(path)
    params = c.llama_model_default_params()
    params.vocab_only = vocab_only
    # What the parameters point to must outlive the call.
    pointed = fill_params(params, offload)
    if no_weights:
        params.no_alloc, params.load_mode = True, c.LLAMA_LOAD_MODE_NONE
    _collect_errors()
    model = c.llama_model_load_from_file(os.fsencode(path), params)
    del pointed
    if not model:
        raise ModelLoadError(f"cannot load {path}: {_first_error('llama.cpp does not say why')}")
    return model


def new_context(model: Any, params: Any) -> Any:
    """Create a context of a model and return llama.cpp's handle of it. Raises ModelLoadError."""
    _collect_errors()
    _compute_buffers.clear()
    context = c.llama_init_from_model(model, params)
    if not context:
        raise ModelLoadError(f"cannot run the model: {_first_error('not enough memory')}")
    return context


def compute_buffers() -> dict[str, int]:
    """Return the bytes of the compute buffers of the context that was created last, by device."""
    return dict(_compute_buffers)


def _first_error(default: str) -> str:
    return next(iter(_errors), default)


def load_adapter(model: Any, path: Path) -> Any:
    """Load a LoRA adapter from a checked file and return llama.cpp's handle of it.

    Raises:
        AdapterError: the adapter does not fit the model.
    """
    _collect_errors()
    adapter = c.llama_adapter_lora_init(model, os.fsencode(path))
    if not adapter:
        reason = _first_error("llama.cpp does not say why").rpartition("lora adapter: ")[2]
        raise AdapterError(f"cannot load the adapter {path}: {reason}")
    return adapter


def read_metadata(model: Any) -> dict[str, str]:
    """Return the key-value pairs of a model's file as text."""
    buffer = ctypes.create_string_buffer(4096)

    def read(function: Any, index: int) -> str:
        length = function(model, index, buffer, len(buffer))
        if length >= len(buffer):
            large = ctypes.create_string_buffer(length + 1)
            function(model, index, large, len(large))
            return large.value.decode("utf-8", "replace")
        return buffer.value.decode("utf-8", "replace")

    return {
        read(c.llama_model_meta_key_by_index, index): read(c.llama_model_meta_val_str_by_index, index)
        for index in range(c.llama_model_meta_count(model))
    }
