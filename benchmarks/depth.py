"""Measure the cost of a batch row by the batch's size and its depth: `python -m benchmarks.depth MODEL.gguf`.

The scheduler paces long prompts by this profile: deep in a prompt, a row costs much more in a batch of fewer than 64
rows than in a larger one, because llama.cpp computes the attention of the two in different ways.
"""

import argparse
from functools import partial

from benchmarks.cli import add_model, add_threads, make_parser, run
from benchmarks.engine import BATCH_TOKENS, open_model
from benchmarks.report import Table, seconds
from ponant.llamacpp.model import Model

ROWS = (1, 8, 16, 32, 63, 64, 128, 256, 512)
DEPTHS = (512, 3072, 6144)
SHORT_SEQUENCES = 8
SHORT_LENGTH = 50
REPEATS = 3


def main() -> int:
    """Run the program; return its exit code."""
    parser = make_parser("depth", __doc__)
    add_model(parser)
    add_threads(parser)
    parser.add_argument(
        "--flash-attention", action=argparse.BooleanOptionalAction, default=True, help="how attention is computed"
    )
    arguments = parser.parse_args()
    model = open_model(
        arguments.model,
        cells=max(DEPTHS) + BATCH_TOKENS + SHORT_SEQUENCES * 2 * SHORT_LENGTH,
        slots=1 + SHORT_SEQUENCES,
        most_logits=1 + SHORT_SEQUENCES,
        threads=arguments.threads,
        flash_attention=arguments.flash_attention,
    )
    tokens = [token % model.vocabulary_size for token in range(7, 7 * (max(DEPTHS) + BATCH_TOKENS), 7)]
    table = Table(("tokens before", *(f"{rows} rows" for rows in ROWS), f"{SHORT_SEQUENCES} short sequences"))
    print("\n".join(table.head()))
    for depth in DEPTHS:
        fill(model, tokens[:depth])
        cells = [f"{1000 * row_seconds(model, tokens, depth, rows):.1f}" for rows in ROWS]
        print(table.row(depth, *cells, f"{1000 * short_step_seconds(model, tokens):.0f}"), flush=True)
    return 0


def fill(model: Model, prompt: list[int]) -> None:
    """Compute a prompt in the first slot."""
    model.empty_slot(0)
    for start in range(0, len(prompt), BATCH_TOKENS):
        model.decode([(0, start, prompt[start : start + BATCH_TOKENS], 0)])


def row_seconds(model: Model, tokens: list[int], depth: int, rows: int) -> float:
    """Return the seconds per row of a batch that continues the prompt: the minimum of a few repeats."""
    times: list[float] = []
    for _ in range(REPEATS):
        times.append(seconds(partial(model.decode, [(0, depth, tokens[depth : depth + rows], 1)])))
        model.trim_slot(0, depth)
    return min(times) / rows


def short_step_seconds(model: Model, tokens: list[int]) -> float:
    """Return the seconds of a decode step of the short sequences next to the prompt: the minimum of a few repeats."""
    slots = range(1, 1 + SHORT_SEQUENCES)
    for slot in slots:
        model.empty_slot(slot)
        model.decode([(slot, 0, tokens[:SHORT_LENGTH], 0)])
    steps = [[(slot, SHORT_LENGTH + repeat, tokens[:1], 1) for slot in slots] for repeat in range(REPEATS)]
    return min(seconds(partial(model.decode, step)) for step in steps)


if __name__ == "__main__":
    run(main)
