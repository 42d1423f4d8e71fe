"""Core lock: one worker computes at a time, even if others are killed."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.processes.core_lock import CoreLock, CoreSlot, free_slot, make_lock_file
from tests.serving import wait_until

WORK = """
import sys, time
from ponant.processes.core_lock import CoreSlot, CoreLock
lock = CoreLock(CoreSlot(sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[3])):
    with lock:
        began = time.monotonic_ns()
        while time.monotonic_ns() - began < 1_000_000:
            pass
        ended = time.monotonic_ns()
    print(began, ended, flush=True)
lock.release()
sys.stdin.readline()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Lock file of the workers."""
    path = tmp_path / "turns"
    make_lock_file(path)
    return path


class Workers:
    """Processes that compute under the lock once they are started."""

    def __init__(self, file: Path, *steps: int) -> None:
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", WORK, str(file), str(number), str(count)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for number, count in enumerate(steps)
        ]
        for process in self.processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"

    def go(self) -> None:
        """Start all workers."""
        for worker in range(len(self.processes)):
            self.start(worker)

    def start(self, worker: int) -> None:
        """Start one worker."""
        orders = self.processes[worker].stdin
        assert orders
        orders.write("go\n")

    def steps(self, worker: int, count: int) -> list[tuple[int, int]]:
        """Return the start and end times of a worker's next steps, in nanoseconds."""
        output = self.processes[worker].stdout
        assert output
        lines = [output.readline().split() for _ in range(count)]
        return [(int(began), int(ended)) for began, ended in lines]

    def end(self) -> None:
        """Kill all workers."""
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def three(file: Path) -> Iterator[Workers]:
    """Three workers with a hundred steps each."""
    workers = Workers(file, 100, 100, 100)
    yield workers
    workers.end()


def test_only_one_computes_at_a_time(three: Workers) -> None:
    three.go()
    steps = sorted(step for worker in range(3) for step in three.steps(worker, 100))
    assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(steps))


def test_nobody_waits_until_the_others_have_finished(three: Workers) -> None:
    three.go()
    steps = [three.steps(worker, 100) for worker in range(3)]
    assert max(own[0][0] for own in steps) < min(own[-1][1] for own in steps)


def test_a_worker_that_is_killed_leaves_its_turn_to_the_others(file: Path) -> None:
    workers = Workers(file, 1_000_000, 50)
    try:
        workers.start(0)
        workers.steps(0, 3)
        workers.processes[0].kill()
        workers.start(1)
        assert len(workers.steps(1, 50)) == 50
    finally:
        workers.end()


def test_others_who_wait_are_seen_until_their_place_is_vacated(file: Path) -> None:
    workers = Workers(file, 1_000_000, 50)
    try:
        lock = CoreLock(CoreSlot(str(file), 2))
        assert not lock.contended
        workers.go()
        wait_until(lambda: lock.contended)
        for process in workers.processes:
            process.kill()
            process.wait()
        for number in range(2):
            free_slot(CoreSlot(str(file), number))
        assert not lock.contended
        with lock:
            pass
    finally:
        workers.end()
