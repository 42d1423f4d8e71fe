"""Soak trial: workers are killed and stopped at random moments under load. Prints the times until the next answer."""

import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.chatting import CHAT, body
from tests.serving import EXACT, ServerProcess, serving
from tests.soak import soaked

FAULTS = 60
STEP_TIMEOUT = 2
SEED = int(os.environ.get("SEED", time.time()))
ASKED: list[tuple[str, dict[str, Any]]] = [
    (CHAT, body(max_tokens=60, min_tokens=60, random_seed=1)),
    (CHAT, body("Hi", max_tokens=40, min_tokens=40, random_seed=2, n=3)),
    (f"/openai{CHAT}", body("Well", max_tokens=50, seed=3)),
    ("/v1/fim/completions", {"prompt": "def", "max_tokens": 50, "min_tokens": 50, "random_seed": 4}),
    ("/v1/completions", {"prompt": ["a", "b"], "max_tokens": 30, "seed": 5}),
    ("/v1/embeddings", {"model": "mistral-embed", "input": ["the cat"] * 50}),
]


class Load:
    """Clients that repeat requests and compare their answers with the first ones."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._expected = [self._ask(index) for index in range(len(ASKED))]
        self._ended = threading.Event()
        self.answered = {embeds: [time.monotonic()] for embeds in (False, True)}
        self.refused: list[str] = []
        self.wrong: list[str] = []

    def run(self, index: int) -> None:
        """Repeat a request until the end of the load."""
        while not self._ended.is_set():
            try:
                answer = self._ask(index)
            except httpx2.HTTPStatusError as error:
                self.refused.append(error.response.text)
                continue
            if answer != self._expected[index]:
                self.wrong.append(f"{ASKED[index]}: {answer}, not {self._expected[index]}")
            self.answered[ASKED[index][0].endswith("embeddings")].append(time.monotonic())

    def end(self) -> None:
        self._ended.set()

    def next_answer(self, since: float, *, embeds: bool) -> float:
        """Wait for the first answer of a model after a moment; return the seconds until then."""
        answered = self.answered[embeds]
        while answered[-1] <= since:
            assert time.monotonic() < since + 120, "no answers any more"
            time.sleep(0.005)
        return next(moment for moment in answered if moment > since) - since

    def _ask(self, index: int) -> Any:
        path, fields = ASKED[index]
        with self._server.client() as client:
            response = client.post(path, json=fields)
        response.raise_for_status()
        answer = response.json()
        if "choices" in answer:
            return [choice.get("text") or choice["message"]["content"] for choice in answer["choices"]]
        return len(answer["data"])


def faults(server: ServerProcess, load: Load) -> Iterator[tuple[int, float]]:
    """Kill and stop workers at random moments; yield the signal and the seconds until the next answer."""
    draw = random.Random(SEED)
    for number in range(FAULTS):
        time.sleep(draw.uniform(0, 4))
        kind = signal.SIGSTOP if number % 10 == 9 else signal.SIGKILL
        workers = [child for child in psutil.Process(server.process.pid).children() if "worker" in str(child.cmdline())]
        if workers:
            worker = draw.choice(workers)
            embeds = "ponant.engine.embed.worker" in worker.cmdline()
            worker.send_signal(kind)
            yield kind, load.next_answer(time.monotonic(), embeds=embeds)


@soaked
def test_answers_are_right_whatever_ends_the_workers(tiny_model: Path, tiny_embedder: Path) -> None:
    with serving(str(tiny_model), str(tiny_embedder), **EXACT, PONANT_STEP_TIMEOUT=str(STEP_TIMEOUT)) as server:
        load = Load(server)
        with ThreadPoolExecutor() as threads:
            running = [threads.submit(load.run, index) for index in range(len(ASKED))]
            try:
                times = list(faults(server, load))
            finally:
                load.end()
        for one in running:
            one.result()
    for kind in (signal.SIGKILL, signal.SIGSTOP):
        seconds = sorted(taken for sent, taken in times if sent == kind)
        print(
            f"{signal.Signals(kind).name}: {len(seconds)} faults, next answer after {statistics.median(seconds):.2f} s "
            f"(median), {seconds[-1]:.2f} s (longest); seed {SEED}"
        )
    print(f"{sum(map(len, load.answered.values()))} answers, {len(load.refused)} refused")
    assert load.wrong == []
    assert all("request_refused" in error for error in load.refused), load.refused[:3]
