"""Outbox: a request that ends workers is found and harms no others."""

import msgspec
import pytest

from ponant.errors import RequestRefusedError
from ponant.processes.outbox import Outbox
from ponant.processes.supervisor import Death

KILLED = Death("process ended with status -9", crashed=False)
CRASHED = Death("process ended with status -6", crashed=True)


class Request(msgspec.Struct):
    """Request of a worker: its number, and what it asks for."""

    number: int
    what: str


class Worker:
    """Requests that a worker has received from an outbox."""

    def __init__(self) -> None:
        self.has: list[int] = []
        self.outbox = Outbox(lambda frame: self.has.append(frame.number), lambda frame: frame.what)  # type: ignore[attr-defined]

    def ask(self, number: int, what: str = "") -> None:
        self.outbox.add(number, Request(number, what or str(number)))

    def answer(self, number: int) -> None:
        self.has.remove(number)
        self.outbox.remove(number)

    def die(self, death: Death = CRASHED, *, computing: set[int] | None = None) -> list[int]:
        had, self.has = self.has, []
        refused = self.outbox.close(death, had if computing is None else computing)
        self.outbox.open()
        return refused


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_all_requests_reach_the_next_worker_in_their_order(worker: Worker) -> None:
    for number in range(4):
        worker.ask(number)
    worker.answer(1)
    assert worker.die() == []
    assert worker.has == [0, 2, 3]


def test_request_that_ends_workers_is_refused_and_its_neighbours_are_answered(worker: Worker) -> None:
    for number in range(8):
        worker.ask(number)
    refused: list[int] = []
    answered: list[int] = []
    deaths = 0
    while len(answered) + len(refused) < 8:
        if 3 in worker.has:
            deaths += 1
            refused += worker.die()
        else:
            answered += worker.has
            worker.answer(worker.has[0])
    assert (refused, deaths) == ([3], 3)
    assert sorted(answered) == [0, 1, 2, 4, 5, 6, 7]


def test_requests_that_were_only_waiting_are_no_suspects(worker: Worker) -> None:
    for number in range(3):
        worker.ask(number)
    assert worker.die(computing={1}) == []
    assert worker.die(computing={1}) == [1]
    assert worker.has == [0, 2]


def test_nothing_overtakes_a_suspect_that_waits_to_be_alone(worker: Worker) -> None:
    for number in range(2):
        worker.ask(number)
    worker.die()
    worker.die()
    worker.ask(2)
    assert worker.has == [0]
    worker.answer(0)
    assert worker.has == [1]
    worker.answer(1)
    assert worker.has == [2]


@pytest.mark.parametrize("death", [CRASHED, KILLED])
def test_equal_requests_are_set_apart_after_crashes_alone(worker: Worker, death: Death) -> None:
    worker.ask(0, "a fatal prompt")
    assert worker.die(death) == []
    assert worker.die(death) == [0]
    worker.ask(1, "another prompt")
    if death.crashed:
        with pytest.raises(RequestRefusedError):
            worker.ask(2, "a fatal prompt")
    else:
        worker.ask(2, "a fatal prompt")


def test_requests_are_kept_while_there_is_no_worker(worker: Worker) -> None:
    worker.outbox.close(KILLED, [])
    worker.ask(0)
    worker.ask(1)
    worker.outbox.remove(0)
    assert worker.has == []
    worker.outbox.open()
    assert worker.has == [1]
