"""Measures what a row of a batch costs by the size of the batch and its depth: `python -m benchmarks.depth MODEL.gguf`.

It is the profile behind the pacing of long prompts beside running answers: deep in a prompt a row in a batch of fewer
than 64 takes much longer than in a larger one, as llama.cpp computes the attention of the two in different ways.
"""

import argparse
import os
import time
from pathlib import Path

ROWS = (1, 8, 16, 32, 63, 64, 128, 256, 512)
DEPTHS = (512, 3072, 6144)
SHORT_SEQUENCES = 8
SHORT_LENGTH = 50
REPEATS = 3
BATCH_TOKENS = 512

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the engine's process has it

from ponant.llamacpp.model import Model  # noqa: E402  # reads the environment when it is imported


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.depth", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL.gguf", help="the weights")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the engine (%(default)s)")
    parser.add_argument(
        "--flash-attention", action=argparse.BooleanOptionalAction, default=True, help="how attention is computed"
    )
    arguments = parser.parse_args()
    model = Model(arguments.model)
    model.open_context(
        cells=max(DEPTHS) + BATCH_TOKENS + SHORT_SEQUENCES * 2 * SHORT_LENGTH,
        slots=1 + SHORT_SEQUENCES,
        batch_tokens=BATCH_TOKENS,
        most_logits=1 + SHORT_SEQUENCES,
        threads=arguments.threads,
        flash_attention=arguments.flash_attention,
        kv_type="f16",
        separate_streams=False,
    )
    tokens = [token % model.vocabulary_size for token in range(7, 7 * (max(DEPTHS) + BATCH_TOKENS), 7)]
    print(f"| tokens before | {' | '.join(f'{rows} rows' for rows in ROWS)} | {SHORT_SEQUENCES} short sequences |")
    print(f"|---:|{'---:|' * (len(ROWS) + 1)}")
    for depth in DEPTHS:
        fill(model, tokens[:depth])
        cells = [f"{1000 * row_seconds(model, tokens, depth, rows):.1f}" for rows in ROWS]
        print(f"| {depth} | {' | '.join(cells)} | {1000 * short_step_seconds(model, tokens):.0f} |", flush=True)


def fill(model: Model, prompt: list[int]) -> None:
    """Compute a prompt in the first slot."""
    model.empty_slot(0)
    for start in range(0, len(prompt), BATCH_TOKENS):
        model.decode([(0, start, prompt[start : start + BATCH_TOKENS], 0)])


def row_seconds(model: Model, tokens: list[int], depth: int, rows: int) -> float:
    """Return what each row takes of a batch that goes on with the prompt; the least of a few."""
    times: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        model.decode([(0, depth, tokens[depth : depth + rows], 1)])
        times.append(time.perf_counter() - began)
        model.trim_slot(0, depth)
    return min(times) / rows


def short_step_seconds(model: Model, tokens: list[int]) -> float:
    """Return what one more token for each of some short sequences takes beside the prompt; the least of a few."""
    slots = range(1, 1 + SHORT_SEQUENCES)
    for slot in slots:
        model.empty_slot(slot)
        model.decode([(slot, 0, tokens[:SHORT_LENGTH], 0)])
    times: list[float] = []
    for repeat in range(REPEATS):
        began = time.perf_counter()
        model.decode([(slot, SHORT_LENGTH + repeat, tokens[:1], 1) for slot in slots])
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
