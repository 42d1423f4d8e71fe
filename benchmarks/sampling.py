"""Measure the cost of drawing tokens: `python -m benchmarks.sampling`.

The logits are random, about as flat as those of the bundled model in answers at temperature 0.7. There, of 512 rows,
the median row has 230 tokens within 12.5 temperatures of the likeliest one, a tenth have less than 13 and a tenth more
than 1,300; here these numbers are 240, 19 and 1,100. The logits are in the processor's caches, unlike in the worker
after a step: `benchmarks.steps` measures the cost of a token there.
"""

from functools import partial
from statistics import median

import numpy as np

from benchmarks.cli import make_parser, run
from benchmarks.report import seconds
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


def main() -> int:
    """Run the program; return its exit code."""
    parser = make_parser("sampling", __doc__)
    parser.add_argument("--vocabulary", type=int, default=49_152, help="tokens of the vocabulary (%(default)s)")
    parser.add_argument("--rows", type=int, default=16, help="sequences in the batch (%(default)s)")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    logits = random.normal(0, 4, (arguments.rows, arguments.vocabulary)).astype(np.float32)
    logits[:, 0] = np.linspace(15, 23, arguments.rows)
    for name, sampling in CASES.items():
        print(f"{name}: {1000 * row_seconds(logits, sampling):.3f} ms for each token")
    return 0


def row_seconds(logits: np.ndarray[tuple[int, int], np.dtype[np.float32]], sampling: Sampling) -> float:
    """Return the median seconds of one draw.

    Args:
        logits: float32, shape (rows, vocabulary size).
        sampling: The parameters of every row.
    """
    rows, vocabulary = logits.shape
    sampler = Sampler(vocabulary, [0, 2])
    batch = [Row(make_sequence(seed, vocabulary, sampling)) for seed in range(rows)]
    copies = (logits.copy() for _ in range(REPEATS))
    return median(seconds(partial(sampler.sample, copy, batch)) for copy in copies) / rows


def make_sequence(seed: int, vocabulary: int, sampling: Sampling) -> Sequence:
    """Return a sequence with some generated tokens, below its `min_tokens`."""
    sequence = Sequence(
        seed, 0, [1, 2, 3], seed=seed, sampling=sampling, max_tokens=None, min_tokens=2 * GENERATED, context=1 << 20
    )
    for token in np.random.default_rng(seed).integers(0, vocabulary, GENERATED):
        sequence.append(int(token))
    return sequence


if __name__ == "__main__":
    run(main)
