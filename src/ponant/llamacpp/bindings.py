"""The low-level bindings of llama-cpp-python, without the rest of that package.

Importing the package brings its own server-side classes and what they need: 11 MB and 60 ms for each process, for
nothing here. So the one module with the bindings is imported as if the package were empty; whoever imports the package
later gets it whole.
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
"""The bindings: every function and constant of llama.cpp's C API under its own name."""


def brief(function: Any) -> Any:
    """A function of ``c`` that keeps the interpreter's lock while it is called.

    The others free it. Where calls are brief and many, as for each token of a vocabulary, a thread that does so would
    wait for the lock at every call as long as another thread computes.
    """
    prototype = ctypes.PYFUNCTYPE(function.restype, *function.argtypes)
    return prototype(ctypes.cast(function, ctypes.c_void_p).value or 0)
