"""Memory that threads of a server have freed."""

import platform
import subprocess
import sys

import pytest

ALLOCATE = """
import ctypes, re, threading
from pathlib import Path
from ponant.server.allocator import return_freed_memory

return_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
barrier = threading.Barrier(8)

def allocate():
    barrier.wait()
    for size in (2_000_000, 100_000, 2_000_000):  # a freed one of the first makes others like it part of an arena
        blocks = [libc.malloc(size) for _ in range(4)]
        for block in blocks:
            ctypes.memset(block, 1, size)
        barrier.wait()
        for block in reversed(blocks):
            libc.free(block)
    barrier.wait()

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = resident()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
arenas = re.findall(r"^[0-9a-f]+[048c]000000-[0-9a-f]+ rw", Path("/proc/self/maps").read_text(), re.MULTILINE)
print(len(arenas), resident() - before)  # 8 and about 20,000 by default
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas")
def test_threads_leave_no_memory_behind() -> None:
    result = subprocess.run([sys.executable, "-c", ALLOCATE], capture_output=True, text=True, check=True)
    arenas, kilobytes = map(int, result.stdout.split())
    assert arenas <= 2
    assert kilobytes < 4000
