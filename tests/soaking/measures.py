"""Measurements of a server: memory, descriptors, threads and processes, and the sizes of its folders."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.soaking.faults import role

MIB = 2**20


@dataclass(frozen=True)
class Size:
    """Size of a process: its memory in bytes, and the numbers of its descriptors and threads."""

    resident: int
    unique: int
    descriptors: int
    threads: int

    def __str__(self) -> str:
        memory = f"{self.resident / MIB:.1f} MiB ({self.unique / MIB:.1f} unshared)"
        return f"{memory}, {self.descriptors} descriptors, {self.threads} threads"


@dataclass(frozen=True)
class Measure:
    """Sizes of a server without requests.

    Attributes:
        server: the server's own process.
        children: its child processes by role, such as `ponant.engine.llama.worker`, or `spared`.
        data: files and bytes of the data folder.
        temporary: files and bytes of the folder for temporary files.
    """

    server: Size
    children: dict[str, Size]
    data: tuple[int, int]
    temporary: tuple[int, int]

    def __str__(self) -> str:
        children = "".join(f"; {name.removeprefix('ponant.')} {size}" for name, size in sorted(self.children.items()))
        folders = f"data {_shown(self.data)}, temporary {_shown(self.temporary)}"
        return f"server {self.server}{children}; {folders}"


def measure(server: psutil.Process, data_dir: Path, temporary: Path, *, spared: int) -> Measure:
    """Return the sizes of a server, one of whose children is spared from faults."""
    children = {
        "spared" if child.pid == spared else role(child): _size(child) for child in server.children(recursive=True)
    }
    return Measure(_size(server), children, _content(data_dir), _content(temporary))


def _size(process: psutil.Process) -> Size:
    memory = process.memory_full_info()
    return Size(memory.rss, memory.uss, process.num_fds(), process.num_threads())


def _content(folder: Path) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def _shown(content: tuple[int, int]) -> str:
    return f"{content[0]} files of {content[1] / 1000:.0f} kB"
