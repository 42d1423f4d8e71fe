"""Files and folders that only the user can read, and that are regular files.

Folders are created with mode 0700 and files with 0600, whatever the umask. A FIFO, a device or a socket in place of a
file is refused before it can block or answer.
"""

import contextlib
import errno
import os
import re
import stat
from io import BufferedRandom, BufferedReader, BufferedWriter
from pathlib import Path
from typing import IO, Any, Literal, TextIO, overload

_PATH = re.compile(
    r"""(?P<quote>['"])/(?:[^'"\n]*/)?(?P<name>[^'"/\n]*)(?P=quote)|(?<![\w./:])/(?:[^'"\n:;,]*/)(?P<bare>[^\s'"/:;,]*)"""
)
_OTHERS = 0o077
"""Rights of the group and of other users."""


def make_folder(folder: Path) -> None:
    """Create a folder, and its missing parents, for this user only. Raises OSError."""
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


@overload
def open_file(path: Path, mode: Literal["rb"]) -> BufferedReader: ...


@overload
def open_file(path: Path, mode: Literal["wb", "ab"]) -> BufferedWriter: ...


@overload
def open_file(path: Path, mode: Literal["rb+"]) -> BufferedRandom: ...


@overload
def open_file(path: Path, mode: Literal["w"]) -> TextIO: ...


def open_file(path: Path, mode: str) -> IO[Any]:
    """Open a regular file; a new one is created for this user only. Raises OSError."""
    return open(path, mode, opener=opener)


def opener(path: str, flags: int) -> int:
    """Return the descriptor of a regular file, as the argument ``opener`` of ``open``. Raises OSError."""
    check_file(Path(path))
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # it was replaced after the check
        os.close(descriptor)
        raise _not_regular(Path(path))
    return descriptor


def check_file(path: Path) -> None:
    """Raise OSError if a path is something other than a regular file. A path without a file is accepted."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise _not_regular(path)


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file. Raises OSError."""
    with open_file(path, "rb") as file:
        return file.read()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a regular file for this user only. Raises OSError."""
    with open_file(path, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)


def make_private(path: Path) -> None:
    """Take the rights of other users from a file, or from a folder with all that is in it.

    Symbolic links are not followed. Files of other users stay unchanged.
    """
    _take_rights(path)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            _take_rights(Path(folder, name))


def without_folders(text: str) -> str:
    """Return a text for clients: each absolute path in it is shortened to the name of its file."""
    return _PATH.sub(lambda path: path["quote"] + path["name"] + path["quote"] if path["quote"] else path["bare"], text)


def _take_rights(path: Path) -> None:
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & _OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "It is not a regular file", str(path))
