"""Measure the parts of a decode step in the engine's worker: `python -m benchmarks.steps MODEL.gguf`.

The worker's own loop runs in this process, without a socket. The figures are medians over the steps in which every
sequence gets one token at temperature 0.7.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import benchmarks.engine  # noqa: F401  # sets the environment of llama.cpp before it is loaded
from benchmarks.cli import add_model, add_threads, make_parser, run
from benchmarks.report import Table
from benchmarks.texts import shuffled_prompts
from ponant.engine.base import GenerateRequest, Sampling
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.frames import Generate, Stepped
from ponant.engine.llama.worker import EngineWorker
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.processes.frames import encode

TOKENS = 64


class Stopwatch:
    """A function that keeps the seconds of its last call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        began = time.perf_counter()
        result = self._function(*arguments)
        self.seconds = time.perf_counter() - began
        return result


def main() -> int:
    """Run the program; return its exit code."""
    parser = make_parser("steps", __doc__)
    add_model(parser)
    add_threads(parser)
    arguments = parser.parse_args()
    worker = EngineWorker(EngineConfig(str(arguments.model), threads=arguments.threads))
    vocabulary = GGUFVocabulary(arguments.model)
    prompts = [vocabulary.tokenize(prompt, control=False) for prompt in shuffled_prompts(1)]
    table = Table(("sequences", "whole step, ms", "scheduling", "decoding", "sampling", "encoding"))
    print("\n".join(table.head()))
    for sequences in (1, 16):
        whole, *parts = measure(worker, prompts[:sequences])
        print(table.row(sequences, f"{whole:.2f}", *(f"{part:.3f}" for part in parts)), flush=True)
    return 0


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
    run(main)
