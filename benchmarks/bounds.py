"""Measures what llama.cpp alone can reach on loads of `benchmarks.compare`: `python -m benchmarks.bounds MODEL.gguf`.

It runs llama.cpp's own `llama-batched-bench` on the work that each load cannot do without: prompts are computed as
seldom as possible, nothing is sampled, and no server or client takes part. Each is measured with one KV cache for all
sequences and with one stream for each.
"""

import argparse
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.chat import positive

LAYOUTS = {"unified": "--kv-unified", "separate streams": "--no-kv-unified"}


@dataclass(frozen=True, slots=True)
class Work:
    """What a load cannot do without.

    Attributes:
        name: What the table calls it.
        prompt: Tokens of a prompt that must be computed.
        shared: Whether all sequences begin with one prompt, computed once.
        sequences: How many are decoded at once.
        tokens: What each generates.
        cells: KV cells in all.
        turns: How often as many sequences follow each other after one prefill.
    """

    name: str
    prompt: int
    shared: bool
    sequences: int
    tokens: int
    cells: int
    turns: int = 1


WORKS = (
    Work("1 client × 128 tokens", prompt=37, shared=False, sequences=1, tokens=128, cells=8_192),
    Work("16 clients × 64 tokens", prompt=37, shared=False, sequences=16, tokens=64, cells=8_192),
    Work(
        "32 requests, 8 at once, 1,600 tokens shared", 1_600, shared=True, sequences=8, tokens=24, cells=16_384, turns=4
    ),
    Work("n = 8, prompt of 837 tokens", prompt=837, shared=True, sequences=8, tokens=48, cells=16_384),
)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bounds", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL.gguf", help="the weights")
    parser.add_argument("--program", default="llama-batched-bench", help="llama.cpp's program (%(default)s)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="threads (%(default)s)")
    parser.add_argument("--rounds", type=positive, default=3, help="medians of so many runs (%(default)s)")
    arguments = parser.parse_args()
    print("| load | layout | prefill, s | decode step, ms | in all, s | tokens/s |\n|---|---|---:|---:|---:|---:|")
    for work in WORKS:
        for layout in LAYOUTS:
            runs = [
                run(arguments.program, arguments.model, arguments.threads, work, layout)
                for _ in range(arguments.rounds)
            ]
            prefill, decoding = (median(times) for times in zip(*runs, strict=True))
            whole = prefill + work.turns * decoding
            rate = work.turns * work.sequences * work.tokens / whole
            step = 1000 * decoding / work.tokens
            print(f"| {work.name} | {layout} | {prefill:.2f} | {step:.1f} | {whole:.2f} | {rate:.0f} |", flush=True)


def run(program: str, model: Path, threads: int, work: Work, layout: str) -> tuple[float, float]:
    """Return the seconds of the prefill and of decoding all tokens once."""
    options = {
        "--model": model,
        "--threads": threads,
        "--ctx-size": work.cells,
        "--ubatch-size": 512,
        "--flash-attn": "on",
        "-npp": work.prompt,
        "-ntg": work.tokens,
        "-npl": work.sequences,
        "--output-format": "jsonl",
    }
    command = [program, *(str(part) for option in options.items() for part in option), LAYOUTS[layout]]
    if work.shared:
        command.append("-pps")
    lines = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True).stdout
    measured = next(json.loads(line) for line in lines.splitlines() if line.startswith("{"))
    return float(measured["t_pp"]), float(measured["t_tg"])


if __name__ == "__main__":
    main()
