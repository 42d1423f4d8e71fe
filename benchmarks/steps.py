"""Measures where the time of a decode step goes in the engine's worker: `python -m benchmarks.steps MODEL.gguf`.

It runs the worker's own loop in this process, without a socket, and takes the median over the steps in which every
sequence gets one token at temperature 0.7.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.texts import shuffled_prompts

TOKENS = 64

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the engine's process has it

from ponant.engine.base import GenerateRequest, Sampling  # noqa: E402  # the environment is read there
from ponant.engine.llama.config import EngineConfig  # noqa: E402
from ponant.engine.llama.frames import Generate, Stepped  # noqa: E402
from ponant.engine.llama.worker import EngineWorker  # noqa: E402
from ponant.llamacpp.vocabulary import Vocabulary  # noqa: E402
from ponant.processes.frames import encode  # noqa: E402


class Stopwatch:
    """A function, and how long its last call took."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        began = time.perf_counter()
        result = self._function(*arguments)
        self.seconds = time.perf_counter() - began
        return result


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL.gguf", help="the weights")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the engine (%(default)s)")
    arguments = parser.parse_args()
    worker = EngineWorker(EngineConfig(str(arguments.model), threads=arguments.threads))
    vocabulary = Vocabulary(arguments.model)
    prompts = [vocabulary.tokenize(prompt, control=False) for prompt in shuffled_prompts(1)]
    print("| sequences | whole step, ms | scheduling | decoding | sampling | encoding |")
    print("|---:|---:|---:|---:|---:|---:|")
    for sequences in (1, 16):
        whole, *parts = measure(worker, prompts[:sequences])
        print(f"| {sequences} | {whole:.2f} | {' | '.join(f'{part:.3f}' for part in parts)} |", flush=True)


def measure(worker: EngineWorker, prompts: list[list[int]]) -> list[float]:
    """Return the median milliseconds of a whole step and of its parts."""
    scheduler, model = worker._scheduler, worker._model
    decode, draw = Stopwatch(type(model).decode.__get__(model)), Stopwatch(type(worker)._draw.__get__(worker))
    vars(model)["decode"], vars(worker)["_draw"] = decode, draw
    for number, prompt in enumerate(prompts):
        request = GenerateRequest(
            prompt, [number], max_tokens=TOKENS, min_tokens=TOKENS, sampling=Sampling(temperature=0.7)
        )
        worker._take(Generate(number, request))
    rows: list[tuple[float, ...]] = []
    while not scheduler.idle:
        began = time.perf_counter()
        step = scheduler.next_step()
        assert step is not None
        scheduled = time.perf_counter()
        deltas = worker._compute(step)
        computed = time.perf_counter()
        encode(Stepped([], deltas))
        ended = time.perf_counter()
        if step.decoded == len(prompts) and step.prefilled == 0:
            parts = scheduled - began, decode.seconds, draw.seconds, ended - computed
            rows.append((ended - began, *parts))
    return [1000 * median(column) for column in zip(*rows, strict=True)]


if __name__ == "__main__":
    main()
