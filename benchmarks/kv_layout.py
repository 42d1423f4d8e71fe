"""Compares the layouts of llama.cpp's KV cache: `python -m benchmarks.kv_layout MODEL.gguf`.

Unified, all sequences share all cells; with separate streams each has its share for itself. Every measurement runs in a
process of its own, straight on the engine's `Model`, without sampling or scheduling. In the unified layout a shared
prefix is computed once and its cells are shared. With separate streams cells cannot be shared, only copied whole, which
`Model` does not do: each sequence computes the prefix itself, and "prefix once" is what it would take with copies.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks.chat import positive
from benchmarks.texts import long_text
from ponant.llamacpp.model import Model
from ponant.llamacpp.vocabulary import Vocabulary

BATCH_TOKENS = 512
OWN_TOKENS = 16
WARM_STEPS = 3
SPIN_COUNT = "1000"
"""How long threads wait in a busy way, as in the engine's own process."""
HEAD = (
    "| load | layout | decode step, ms | tokens/s | prefill, ms | prefix once, ms | cells, MiB | resident, MiB |",
    "|---|---|---:|---:|---:|---:|---:|---:|",
)


@dataclass(frozen=True, slots=True)
class Work:
    """Sequences that are decoded together.

    Attributes:
        name: What the table calls it.
        sequences: How many there are.
        cells: KV cells of the context, of which separate streams get equal shares.
        slots: How many sequences the context is made for.
        shared_tokens: About how many tokens all begin with.
        own_tokens: How many more each has before decoding begins.
    """

    name: str
    sequences: int
    cells: int
    slots: int
    shared_tokens: int = 0
    own_tokens: int = OWN_TOKENS


WORKS = (
    Work("1 sequence", sequences=1, cells=8_192, slots=16, own_tokens=40),
    Work("16 short sequences", sequences=16, cells=8_192, slots=16, own_tokens=40),
    Work("8 sequences with 1,600 tokens in common", sequences=8, cells=16_384, slots=8, shared_tokens=1_600),
    Work("8 sequences with 800 tokens in common", sequences=8, cells=16_384, slots=8, shared_tokens=800),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run gave. Times are in seconds, sizes in bytes.

    Attributes:
        step: Median time of decoding one token of every sequence.
        prefill: Time of all that comes before.
        prefix: Time of computing the shared prefix once.
        cells: What the KV cells take.
        resident: How much the process grew by the context and by computing with it.
    """

    step: float
    prefill: float
    prefix: float
    cells: int
    resident: int


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    runs: dict[tuple[Work, bool], list[Measured]] = {}
    for number in range(arguments.rounds):
        for work in WORKS:
            for separate in (False, True) if number % 2 == 0 else (True, False):
                measured = in_own_process(arguments.model, work, separate, arguments.threads, arguments.steps)
                runs.setdefault((work, separate), []).append(measured)
                layout = "separate streams" if separate else "unified"
                line = f"round {number + 1}: {work.name}, {layout}: {1000 * measured.step:.1f} ms a step"
                print(line, file=sys.stderr, flush=True)
    text = "\n".join(format_table(runs))
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kv_layout", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL.gguf")
    parser.add_argument("--rounds", type=positive, default=3, help="how often everything is run (%(default)s)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="threads of the engine (%(default)s)")
    parser.add_argument("--steps", type=positive, default=32, help="decode steps that are timed (%(default)s)")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="also write the table to a file")
    return parser.parse_args()


def in_own_process(model: Path, work: Work, separate: bool, threads: int, steps: int) -> Measured:
    """Measure in a process that ends afterwards, so that its memory says nothing of earlier runs."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, model, work, separate, threads, steps).result()


def measure(path: Path, work: Work, separate: bool, threads: int, steps: int) -> Measured:
    """Compute the prompts of all sequences, then decode some steps."""
    text = long_text(seed=1, tokens=2 * (work.shared_tokens + work.own_tokens) + 500)
    tokens = Vocabulary(path).tokenize(text, control=False)
    model = Model(path)
    before = psutil.Process().memory_info().rss
    model.open_context(
        cells=work.cells,
        slots=work.slots,
        batch_tokens=BATCH_TOKENS,
        most_logits=work.slots,
        threads=threads,
        flash_attention=True,
        kv_type="f16",
        separate_streams=separate,
    )
    # The first computation of a context is slow, whatever it is.
    model.decode([(0, 0, tokens[:1], 1)])
    model.empty_slot(0)
    start = time.perf_counter()
    prefix = tokens[: work.shared_tokens]
    compute(model, [(0, 0, prefix)])
    prefix_time = time.perf_counter() - start
    for slot in range(1, work.sequences):
        if separate:
            compute(model, [(slot, 0, prefix)])
        elif prefix:
            model.share_cells(0, slot, 0, len(prefix))
    own = [tokens[len(prefix) + slot :][: work.own_tokens] for slot in range(work.sequences)]
    compute(model, [(slot, len(prefix), part) for slot, part in enumerate(own)])
    prefill_time = time.perf_counter() - start
    position = len(prefix) + work.own_tokens
    times = decode_steps(model, work.sequences, position, tokens, WARM_STEPS + steps)
    return Measured(
        step=median(times[WARM_STEPS:]),
        prefill=prefill_time,
        prefix=prefix_time,
        cells=work.cells * model.size("f16").kv_bytes_per_token,
        resident=psutil.Process().memory_info().rss - before,
    )


def compute(model: Model, chunks: list[tuple[int, int, list[int]]]) -> None:
    """Compute the tokens of slots, each from a position on, in as few batches as hold them."""
    batch: list[tuple[int, int, list[int], int]] = []
    room = BATCH_TOKENS
    for slot, first, tokens in chunks:
        done = 0
        while done < len(tokens):
            part = tokens[done : done + room]
            batch.append((slot, first + done, part, 1))
            done += len(part)
            room -= len(part)
            if room == 0:
                model.decode(batch)
                batch, room = [], BATCH_TOKENS
    if batch:
        model.decode(batch)


def decode_steps(model: Model, sequences: int, position: int, tokens: list[int], steps: int) -> list[float]:
    """Give every sequence one token more in each step; return how long each step took."""
    times: list[float] = []
    for step in range(steps):
        chunks = [(slot, position + step, tokens[-1 - step - slot :][:1], 1) for slot in range(sequences)]
        start = time.perf_counter()
        model.decode(chunks)
        times.append(time.perf_counter() - start)
    return times


def format_table(runs: dict[tuple[Work, bool], list[Measured]]) -> Iterator[str]:
    """Return the lines of the table, each with the medians over the rounds."""
    yield from HEAD
    for (work, separate), rounds in runs.items():
        step = median(measured.step for measured in rounds)
        prefill_time = median(measured.prefill for measured in rounds)
        prefix_time = median(measured.prefix for measured in rounds)
        resident = median(measured.resident for measured in rounds)
        cells = (
            work.name,
            "separate streams" if separate else "unified",
            f"{1000 * step:.1f}",
            f"{work.sequences / step:.0f}",
            f"{1000 * prefill_time:.0f}",
            f"{1000 * prefix_time:.0f}" if work.shared_tokens else "-",
            f"{rounds[0].cells / 2**20:.0f}",
            f"{resident / 2**20:.0f}",
        )
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
