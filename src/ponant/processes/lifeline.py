"""The lifeline: a pipe that is closed when this process ends, however it ends."""

import contextlib
import functools
import os


def lifeline() -> int:
    """Return the file descriptor for child processes, which becomes readable when this process ends."""
    return _pipe()[0]


@functools.cache
def _pipe() -> tuple[int, int]:
    return os.pipe()


def _close_in_fork() -> None:
    """Close the pipe in a forked process, which would otherwise keep it open after the end of its parent."""
    if _pipe.cache_info().currsize:
        for end in _pipe():
            with contextlib.suppress(OSError):
                os.close(end)
        _pipe.cache_clear()


os.register_at_fork(after_in_child=_close_in_fork)
