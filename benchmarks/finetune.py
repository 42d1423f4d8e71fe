"""Fine-tunes the bundled model for 60 steps of 512 tokens, and says what that takes.

``python -m benchmarks.finetune`` runs the process that a job runs, from a text that ships with the tests. The first
run on a machine also reads the weights from the GGUF file; ``--cache FOLDER`` keeps them for the next one.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from ponant.catalog.store import BUNDLED, locate
from ponant.training.job import Hyperparameters, Precision, TrainingFile, TrainingRun, write_run

TEXT = Path(__file__).parents[1] / "tests" / "data" / "perplexity.txt"
SEQ_LEN = 512


def write_dataset(path: Path) -> None:
    """Make conversations of a text: half of a passage is the question, the other half is the answer."""
    words = TEXT.read_text().split()
    passages = [words[start : start + 60] for start in range(0, len(words) - 60, 20)]
    with path.open("w") as file:
        for passage in passages:
            messages = [
                {"role": "user", "content": "Go on: " + " ".join(passage[:20])},
                {"role": "assistant", "content": " ".join(passage[20:])},
            ]
            file.write(json.dumps({"messages": messages}) + "\n")


def run(folder: Path, cache: Path, *, steps: int, threads: int | None, precision: Precision | None) -> dict[str, Any]:
    """Train once; returns when each kind of event came first, in seconds, and the events of the steps."""
    write_dataset(folder / "data.jsonl")
    described = TrainingRun(
        model=str(locate(BUNDLED, folder)),
        cache=str(cache),
        training_files=[TrainingFile(str(folder / "data.jsonl"))],
        hyperparameters=Hyperparameters(training_steps=steps, seq_len=SEQ_LEN),
        threads=threads,
        precision=precision,
    )
    write_run(described, folder / "run")
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ponant.training.worker", str(folder / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    times: dict[str, float] = {}
    seen: list[dict[str, Any]] = []
    ends: list[float] = []
    for line in process.stdout:
        event = json.loads(line)
        name = event["name"] if event["event"] == "phase" else event["event"]
        times.setdefault(name, time.monotonic() - began)
        if name == "failed":
            raise SystemExit(event["message"])
        if name == "step":
            seen.append(event)
            ends.append(time.monotonic())
    process.wait()
    times["end"] = time.monotonic() - began
    return {"times": times, "steps": seen, "seconds": [after - before for before, after in itertools.pairwise(ends)]}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", choices=["float32", "bfloat16"])
    parser.add_argument("--cache", type=Path, help="folder for the weights as read from the GGUF file")
    arguments = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found = run(
            folder,
            arguments.cache or folder / "cache",
            steps=arguments.steps,
            threads=arguments.threads,
            precision=arguments.precision,
        )
    times, steps = found["times"], found["steps"]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"step, median          {statistics.median(found['seconds']):.2f} s")
    print(f"tokens                {steps[-1]['tokens']} in {len(steps)} steps, {steps[-1]['tokens_per_second']:.0f}/s")
    print(f"reading the weights   {times['training'] - times['loading']:.1f} s")
    print(f"start to end          {times['end']:.1f} s")
    print(f"peak memory           {peak:.2f} GiB")
    print(f"loss                  {steps[0]['loss']:.3f} to {steps[-1]['loss']:.3f}")


if __name__ == "__main__":
    main()
