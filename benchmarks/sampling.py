"""Measures what drawing tokens costs: `python -m benchmarks.sampling`.

The logits are made up, as flat as those of the bundled model in answers at temperature 0.7: there, of 512 rows, the
median has 230 tokens within 12.5 temperatures of the likeliest one, a tenth have less than 13 and a tenth more than
1,300; here they are 240, 19 and 1,100. They are in the processor's caches, as they are not in the worker after a step:
what a token costs there, `benchmarks.steps` tells.
"""

import argparse
import time
from statistics import median

import numpy as np

from ponant.engine.base import Sampling
from ponant.engine.llama.sampling import Row, Sampler
from ponant.engine.llama.sequence import Sequence

REPEATS = 30
GENERATED = 64
CASES = {
    "greedy": Sampling(temperature=0),
    "temperature 0.7": Sampling(temperature=0.7),
    "temperature 1.5": Sampling(temperature=1.5),
    "top_p 0.9": Sampling(temperature=0.7, top_p=0.9),
    "top_k 40": Sampling(temperature=0.7, top_k=40),
    "everything": Sampling(0.7, 0.9, 40, repetition_penalty=1.1, presence_penalty=0.1, frequency_penalty=0.1),
}


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampling", description=__doc__)
    parser.add_argument("--vocabulary", type=int, default=49_152, help="tokens of the vocabulary (%(default)s)")
    parser.add_argument("--rows", type=int, default=16, help="sequences in the batch (%(default)s)")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    logits = random.normal(0, 4, (arguments.rows, arguments.vocabulary)).astype(np.float32)
    logits[:, 0] = np.linspace(15, 23, arguments.rows)
    for name, sampling in CASES.items():
        print(f"{name}: {1000 * row_seconds(logits, sampling):.3f} ms for each token")


def row_seconds(logits: np.ndarray[tuple[int, int], np.dtype[np.float32]], sampling: Sampling) -> float:
    """Return the median time of a draw."""
    rows, vocabulary = logits.shape
    sampler = Sampler(vocabulary, [0, 2])
    batch = [Row(make_sequence(seed, vocabulary, sampling)) for seed in range(rows)]
    times: list[float] = []
    for _ in range(REPEATS):
        copy = logits.copy()
        began = time.perf_counter()
        sampler.sample(copy, batch)
        times.append(time.perf_counter() - began)
    return median(times) / rows


def make_sequence(seed: int, vocabulary: int, sampling: Sampling) -> Sequence:
    """Return a sequence that has generated some tokens, and may not end yet."""
    sequence = Sequence(
        seed, 0, [1, 2, 3], seed=seed, sampling=sampling, max_tokens=None, min_tokens=2 * GENERATED, context=1 << 20
    )
    for token in np.random.default_rng(seed).integers(0, vocabulary, GENERATED):
        sequence.append(int(token))
    return sequence


if __name__ == "__main__":
    main()
