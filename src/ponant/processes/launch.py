"""The start of a child process: it is tied to its parent's life, and its files are private.

Started as ``python -P -m ponant.processes.launch PARENT LIFELINE MODULE ARGUMENT...``. It then runs the module with the
arguments, as ``python -m MODULE ARGUMENT...`` would.

The process is killed when the parent ends, however that ends, even during a native computation that holds the
interpreter's lock. On Linux the kernel does that (``PR_SET_PDEATHSIG``). Elsewhere a forked watcher kills the process
when the pipe ``LIFELINE``, whose other end only the parent has, is closed.
"""

import ctypes
import logging
import os
import runpy
import select
import signal
import sys
from types import TracebackType

from ponant.logs import configure_logging

KERNEL_WATCHES = sys.platform == "linux"
"""True if the kernel kills a process when its parent ends; it then needs no lifeline."""

_PRIVATE = 0o077
"""Mask of new files: no rights for other users."""
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.25


def tie_to_parent(parent: int, lifeline: int | None) -> None:
    """Kill this process when its parent ends.

    Args:
        parent: process id of the parent.
        lifeline: file descriptor that becomes readable when the parent ends; None if the kernel watches.
    """
    if lifeline is None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        _fork_watcher(lifeline)


def _fork_watcher(lifeline: int) -> None:
    """Fork a process that kills this one when the lifeline is closed, and ends with it."""
    watched = os.getpid()
    if os.fork():
        os.close(lifeline)
        return
    os.closerange(3, lifeline)
    os.closerange(lifeline + 1, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    while os.getppid() == watched:
        if select.select([lifeline], [], [], _POLL_SECONDS)[0]:
            os.kill(watched, signal.SIGKILL)
            break
    os._exit(0)


def _log_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("ponant").critical("process ended by an error", exc_info=(kind, error, trace))


def main() -> None:
    """Run the module of the command line."""
    parent, lifeline, module, *arguments = sys.argv[1:]
    os.umask(_PRIVATE)
    tie_to_parent(int(parent), int(lifeline) if int(lifeline) >= 0 else None)
    configure_logging("warning")
    sys.excepthook = _log_error
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
