"""Low-level bindings of llama-cpp-python, without the rest of that package.

The package also imports its high-level classes and their dependencies, which take 11 MB and 60 ms per process. So the
module with the bindings is imported as if the package were empty. A later import of the package loads all of it.
"""

import ctypes
import importlib
import os
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_PACKAGE = "llama_cpp"

os.environ.setdefault("GGML_NO_BACKTRACE", "1")


def _load() -> Any:
    spec = find_spec(_PACKAGE)
    if _PACKAGE in sys.modules or spec is None or spec.submodule_search_locations is None:
        return importlib.import_module(f"{_PACKAGE}.llama_cpp")
    package = ModuleType(_PACKAGE)
    package.__spec__ = spec
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[_PACKAGE] = package
    try:
        return importlib.import_module(f"{_PACKAGE}.llama_cpp")
    finally:
        del sys.modules[_PACKAGE]


c = _load()
"""Every function and constant of llama.cpp's C API under its own name."""


def brief(function: Any) -> Any:
    """Return a function of ``c`` that holds the global interpreter lock during a call.

    The functions of ``c`` release it. With many brief calls, such as one per token of a vocabulary, a thread would wait
    for the lock after every call while another thread computes.
    """
    prototype = ctypes.PYFUNCTYPE(function.restype, *function.argtypes)
    return prototype(ctypes.cast(function, ctypes.c_void_p).value or 0)
