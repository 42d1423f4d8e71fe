"""Soak trial: mixed traffic for an hour, with cut connections and a killed or stopped process each minute.

PONANT_SOAK_MINUTES sets another length, SEED another order. Prints the sizes of the server after each round.
"""

import os
import random
import signal
import statistics
import time
from pathlib import Path

import psutil

from tests.chatting import answer
from tests.jobs import JOBS
from tests.scripted_trainer import scripted_training_path
from tests.serving import EXACT, ServerProcess, serving, wait_until
from tests.soak import soaked
from tests.soaking.faults import strike
from tests.soaking.measures import Measure, measure
from tests.soaking.traffic import SPARED, Traffic
from tests.tiny_model import write_tiny_model

MINUTES = float(os.environ.get("PONANT_SOAK_MINUTES", "60"))
SEED = int(os.environ.get("SEED", time.time()))
ROUND = 50
"""Seconds of traffic, after which the server is measured without any; together about a minute."""
FULL = 5
"""Rounds after which the prefix store and all caches are full."""
KV_MEMORY = "2MiB"
"""Memory of 4096 tokens."""
PREFIX_MEMORY = "1MiB"
SAMPLES = 3
GROWTH = 1.05


class Trial:
    """Rounds of traffic and the measurements after them."""

    def __init__(self, server: ServerProcess, data_dir: Path, temporary: Path) -> None:
        self._server = server
        self._process = psutil.Process(server.process.pid)
        self._spared = self._start_spared()
        self._folders = data_dir, temporary
        self._draw = random.Random(SEED)
        self.traffic = Traffic(server, self._draw)
        self.measures: list[Measure] = []

    def run_round(self) -> None:
        """Run a round of traffic with a fault, and measure the server after it."""
        number = len(self.measures)
        kind = signal.SIGSTOP if number % 5 == 4 else signal.SIGKILL
        struck: list[str] = []
        seen = len(self.traffic.wrong)
        self.traffic.round(ROUND, lambda: struck.append(strike(self._process, self._draw, kind, spared=self._spared)))
        print("".join(f"WRONG {wrong}\n" for wrong in self.traffic.wrong[seen:]), end="", flush=True)
        wait_until(self._is_calm, seconds=120)
        self.traffic.check_state()
        time.sleep(2)  # for connections that were cut
        self.measures.append(measure(self._process, *self._folders, spared=self._spared))
        print(f"{time.strftime('%X')} round {number + 1}, {kind.name} {struck[0]}: {self.measures[-1]}", flush=True)

    def _start_spared(self) -> int:
        """Load the model whose worker is spared; return the worker's process id."""
        before = {child.pid for child in self._process.children()}
        answer(self._server, model=SPARED)
        (started,) = {child.pid for child in self._process.children()} - before
        return started

    def _is_calm(self) -> bool:
        """True if all models are loaded and no job runs."""
        with self._server.client() as client:
            ready = client.get("/ready").json()
            jobs = client.get(JOBS, params={"status": "RUNNING"}).json()["data"]
        states = [model["state"] for model in ready["models"].values()]
        return set(states) == {"ready"} and not jobs


def growth(measures: list[Measure], first: int) -> dict[str, float]:
    """Return the growth of each size, as the ratio of the last samples' median to that of the first ones."""
    before, after = measures[first : first + SAMPLES], measures[-SAMPLES:]
    sizes = {
        "server's memory": lambda one: one.server.resident,
        "server's unshared memory": lambda one: one.server.unique,
        "server's descriptors": lambda one: one.server.descriptors,
        "spared worker's memory": lambda one: one.children["spared"].resident,
        "spared worker's descriptors": lambda one: one.children["spared"].descriptors,
        "temporary files": lambda one: one.temporary[0] + 1,
    }
    return {
        name: statistics.median(map(size, after)) / statistics.median(map(size, before)) for name, size in sizes.items()
    }


@soaked
def test_server_stays_as_large_as_it_is_and_loses_nothing(tiny_embedder: Path, tmp_path: Path) -> None:
    models = [tmp_path / "tiny.gguf", tmp_path / f"{SPARED}.gguf"]
    for seed, model in enumerate(models):
        write_tiny_model(model, seed=seed, context_length=2048)
    data_dir, temporary = tmp_path / "data", tmp_path / "temporary"
    temporary.mkdir()
    settings = EXACT | {
        "PONANT_DATA_DIR": str(data_dir),
        "PONANT_STEP_TIMEOUT": "3",
        "PONANT_KV_MEMORY": KV_MEMORY,
        "PONANT_PREFIX_CACHE_MEMORY": PREFIX_MEMORY,
        "PYTHONPATH": scripted_training_path(),
        "TMPDIR": str(temporary),
    }
    print(f"\nSEED={SEED}")
    end = time.monotonic() + 60 * MINUTES
    with serving(*map(str, models), str(tiny_embedder), log=tmp_path / "log", **settings) as server:
        trial = Trial(server, data_dir, temporary)
        while time.monotonic() < end - ROUND or len(trial.measures) < 1:
            trial.run_round()
    print(dict(trial.traffic.counts))
    grown = growth(trial.measures, min(FULL, len(trial.measures) - 1))
    print(grown)
    assert trial.traffic.wrong == []
    assert all(ratio <= GROWTH for ratio in grown.values()), grown
