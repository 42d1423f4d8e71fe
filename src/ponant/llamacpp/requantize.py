"""Process that writes a copy of a model's weights in Q8_0, through llama.cpp's C API.

It is started as ``python -m ponant.llamacpp.requantize SOURCE TARGET THREADS``, with 0 threads for one per core. It is
a process of its own because a failed assertion in llama.cpp ends the process, and because llama.cpp reports its
progress only in its log. Standard output has ``size BYTES``, then repeatedly ``done TENSOR OF_TENSORS``; any other line
is an error message. The exit code is 0 when the copy is complete. The caller removes the remains of a failure.
"""

import ctypes
import os
import re
import signal
import sys
from typing import Any

from ponant.llamacpp.bindings import c

_LOG_LEVEL_ERROR = 4
_TENSOR = re.compile(r"\[ *(\d+)/ *(\d+)\]")
_SIZE = re.compile(r"quant size *= *([\d.]+) MiB")


def requantize(source: str, target: str, threads: int) -> bool:
    """Write the copy; returns True if it is complete."""
    params = c.llama_model_quantize_default_params()
    params.ftype = c.LLAMA_FTYPE_MOSTLY_Q8_0
    params.allow_requantize = True
    params.nthread = threads
    for dry_run in (True, False):
        params.dry_run = dry_run
        log = c.llama_log_callback(_tell_size if dry_run else _tell_progress)
        c.llama_log_set(log, ctypes.c_void_p(0))
        if c.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params)):
            return False
    return True


def _tell_size(level: int, text: bytes, _: Any) -> None:
    if size := _SIZE.search(text.decode("utf-8", "replace")):
        _tell(f"size {int(float(size[1]) * 2**20)}")
    _tell_errors(level, text)


def _tell_progress(level: int, text: bytes, _: Any) -> None:
    if tensor := _TENSOR.match(text.decode("utf-8", "replace")):
        _tell(f"done {tensor[1]} {tensor[2]}")
    _tell_errors(level, text)


def _tell_errors(level: int, text: bytes) -> None:
    if level == _LOG_LEVEL_ERROR:
        _tell(text.decode("utf-8", "replace").strip())


def _tell(line: str) -> None:
    """Write a line to standard output; end the process if that is closed."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:
        os._exit(1)


def main() -> None:
    """Make the copy named on the command line."""
    # Service managers signal every process of a service. The parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    source, target, threads = sys.argv[1:]
    sys.exit(0 if requantize(source, target, int(threads)) else 1)


if __name__ == "__main__":
    main()
