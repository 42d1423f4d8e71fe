"""Faults of the soak trial: a child process of the server that is killed or stopped."""

import contextlib
import random
import signal

import psutil

TRAINER = "ponant.training.worker"


def role(process: psutil.Process) -> str:
    """Return the module that a child process runs."""
    return next(
        (part for part in process.cmdline() if part.startswith("ponant.") and part.endswith(".worker")), process.name()
    )


def strike(server: psutil.Process, draw: random.Random, kind: signal.Signals, *, spared: int) -> str:
    """Send a signal to a random child process, but for one; return its role."""
    children = []
    for child in server.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.pid != spared:
                children.append((role(child), child))
    if kind == signal.SIGSTOP:
        children = [(name, child) for name, child in children if name != TRAINER]
    name, child = draw.choice(children)
    with contextlib.suppress(psutil.NoSuchProcess):
        child.send_signal(kind)
    return name
