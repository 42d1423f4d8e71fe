"""A long prompt and running completions on simulated machines: both get their share of the time."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from ponant.engine.llama.step import Step
from tests.engine.llama.scheduling import WORD, completion, drawn_as, scheduler, step_of
from tests.soak import some

PROMPT = 6000
CELLS = 32_768
DEPTHS = [512, 3072, 6144]
ROWS = [1, 8, 16, 32, 63, 64, 128, 256, 512]
MILLISECONDS_OF_A_ROW = [
    [12.0, 6.0, 5.6, 5.5, 5.5, 4.3, 4.1, 4.0, 4.1],
    [26.6, 19.3, 20.1, 19.0, 16.2, 7.8, 6.9, 6.7, 6.8],
    [43.5, 30.8, 30.4, 31.2, 28.9, 11.7, 9.8, 10.0, 10.0],
]
"""Measured in benchmarks/README.md, by depth and by the rows of a batch."""

RowCost = Callable[[int, float], float]
"""Seconds per row of a prompt, by the rows of its batch and by its depth."""


def as_measured(rows: int, depth: float) -> float:
    return float(np.interp(depth, DEPTHS, [np.interp(rows, ROWS, row) for row in MILLISECONDS_OF_A_ROW])) / 1000


def always_the_same(_rows: int, _depth: float) -> float:
    return 0.005


def ten_times_faster(rows: int, depth: float) -> float:
    return as_measured(rows, depth) / 10


class Machine:
    """Scheduler with a clock that advances by the simulated duration of each step, within 10%."""

    def __init__(self, row_cost: RowCost) -> None:
        self.scheduler = scheduler(cells=CELLS, parallel=16)
        self.row_cost = row_cost
        self.growth = 0 if row_cost is always_the_same else 0.34  # 41 to 55 ms for 8 rows
        self.now = 0.0
        self.arrivals: dict[int, float] = {}
        self.times: dict[int, list[float]] = {}
        """Times of each request's tokens."""
        self._random = np.random.default_rng(1)

    def add(self, request_id: int, prompt: int) -> None:
        self.scheduler.add([completion(request_id, prompt, max_tokens=None, context=8192)])
        self.arrivals[request_id] = self.now
        self.times[request_id] = []

    def step(self) -> None:
        step = step_of(self.scheduler)
        deltas = list(self.scheduler.advance(step, [[drawn_as(WORD)] for chunk in step.chunks if chunk.draws]))
        seconds = self.seconds(step) * self._random.uniform(0.9, 1.1)
        self.scheduler.observe(step.timed(seconds))
        self.now += seconds
        for request_id, _ in deltas:
            self.times[request_id].append(self.now)

    def seconds(self, step: Step) -> float:
        """Return the duration of a step. Rows of completions cost more as the cache fills."""
        used = CELLS - self.scheduler.cache.free
        completions = step.decoded * self.row_cost(8, 0) * (1 + self.growth * used / PROMPT)
        rows = step.decoded + step.prefilled
        prompts = (chunk for chunk in step.chunks if not chunk.decodes)
        return completions + sum(chunk.length * self.row_cost(rows, chunk.start) for chunk in prompts)

    def wait(self, request_id: int) -> float:
        """Return the time to a request's first token."""
        while not self.times[request_id]:
            self.step()
        return self.times[request_id][0] - self.arrivals[request_id]

    def gaps(self, request_ids: Iterable[int], since: float) -> list[float]:
        """Return the times between tokens after a point in time."""
        return [
            gap
            for request_id in request_ids
            for gap, end in zip(np.diff(self.times[request_id]), self.times[request_id][1:], strict=True)
            if end > since
        ]


@pytest.mark.parametrize("streams", some([1, 8, 15], 0, 2))
@pytest.mark.parametrize("row_cost", [as_measured, always_the_same, ten_times_faster])
@pytest.mark.parametrize("knows_the_machine", [True, False])
def test_long_prompt_does_not_stall_streams_and_is_not_stalled_by_them(
    row_cost: RowCost, streams: int, knows_the_machine: bool
) -> None:
    idle = Machine(row_cost)
    idle.add(0, PROMPT)
    alone = idle.wait(0)
    machine = Machine(row_cost)
    if knows_the_machine:
        machine.scheduler.costs = idle.scheduler.costs
        machine.scheduler.prefill = idle.scheduler.prefill
    others = range(1, streams + 1)
    for request_id in others:
        machine.add(request_id, 30)
    for _ in range(40):
        machine.step()
    before = machine.gaps(others, since=0)
    arrived = machine.now
    machine.add(99, PROMPT)
    assert machine.wait(99) <= 2.5 * alone
    during = machine.gaps(others, since=arrived)
    assert np.percentile(during, 95) <= 2.5 * np.percentile(before, 95)
    assert max(during) <= 4


@pytest.mark.parametrize("row_cost", [as_measured, always_the_same])
def test_short_prompts_do_not_wait_for_a_long_one(row_cost: RowCost) -> None:
    machine = Machine(row_cost)
    for request_id in range(1, 9):
        machine.add(request_id, 30)
    for _ in range(40):
        machine.step()
    machine.add(99, PROMPT)
    waits: list[float] = []
    for request_id in range(100, 110):
        machine.add(request_id, 100)
        waits.append(machine.wait(request_id))
        machine.scheduler.cancel(request_id)
        for _ in range(30):
            machine.step()
    assert not machine.times[99]
    assert np.median(waits) <= 3
    assert max(waits) <= 6
