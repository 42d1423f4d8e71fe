"""Fine-tunes the bundled model, and says what that takes: `python -m benchmarks.finetune`.

A server gets a job of 60 steps of 512 tokens, made of a text that ships with the tests: how long it takes from its
creation to SUCCESS, the first time on a machine (the weights are read from the GGUF file then), and how much memory the
trainer takes. Then streams are run alone and beside another such job: shown is the share of their rate that they keep.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.chat import positive
from benchmarks.exchange import Target
from benchmarks.machine import describe_machine
from benchmarks.processes import ServerError, running
from benchmarks.servers import PONANT, find
from benchmarks.setups import Given, Setup
from benchmarks.sharing import Load, chat_load, run, show
from ponant.weights.bundled import BUNDLED
from ponant.weights.locate import locate

TEXT = Path(__file__).parents[1] / "tests" / "data" / "perplexity.txt"
SETUP = Setup("the bundled model", parallel=16, cells=8_192)
JOBS = "/v1/fine_tuning/jobs"
SEQ_LEN = 512
ENDLESS = 10_000
"""Steps of the job beside which streams are measured; it is cancelled then."""
BETWEEN_LOOKS = 0.2


def main() -> int:
    """Run the program; return its exit code: 2 when it could not begin."""
    arguments = parse_arguments()
    ponant = find(PONANT, arguments.ponant)
    if ponant is None:
        print(f"no program {arguments.ponant} found", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as folder:
            given = Given(locate(BUNDLED, Path(folder)), arguments.threads, Path(folder))
            with running(ponant, given, SETUP) as server:
                target = Target(server.endpoint, ponant.kind.dialect)
                print("\n".join(asyncio.run(measure(target, arguments.steps, arguments.rounds))))
    except ServerError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__)
    parser.add_argument("--steps", type=positive, default=60, help="steps of the job (%(default)s)")
    parser.add_argument("--rounds", type=positive, default=3, help="how often streams are run (%(default)s)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="threads of model and trainer")
    parser.add_argument(
        "--ponant", default="ponant", help="the ponant program (default: beside this Python, or on PATH)"
    )
    return parser.parse_args()


def dataset() -> bytes:
    """Conversations made of a text: a third of a passage is the question, the rest is the answer."""
    words = TEXT.read_text().split()
    lines = [
        {
            "messages": [
                {"role": "user", "content": "Go on: " + " ".join(words[start : start + 20])},
                {"role": "assistant", "content": " ".join(words[start + 20 : start + 60])},
            ]
        }
        for start in range(0, len(words) - 60, 20)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


async def measure(target: Target, steps: int, rounds: int) -> list[str]:
    """Run the jobs and the loads; return what is to be printed."""
    async with httpx2.AsyncClient(
        base_url=f"http://{target.endpoint.host}:{target.endpoint.port}", timeout=120
    ) as client:
        model = (await client.get("/v1/models")).json()["data"][0]["id"]
        uploaded = await client.post("/v1/files", files={"file": ("data.jsonl", dataset())})
        file_id = uploaded.raise_for_status().json()["id"]
        lines = [f"{steps} steps of {SEQ_LEN} tokens. {describe_machine()}", ""]
        for name in ("the first job of a machine", "the next one"):
            show(name)
            lines += describe(name, *await train(client, model, file_id, steps))
        loads = [chat_load(target, model, 1), chat_load(target, model, 8)]
        alone: dict[str, list[float]] = {load.name: [] for load in loads}
        beside: dict[str, list[float]] = {load.name: [] for load in loads}
        for number in range(rounds):
            show(f"round {number + 1}: streams alone")
            for load in loads:
                alone[load.name] += await run(load)
            async with training(client, model, file_id):
                show(f"round {number + 1}: streams beside a job")
                for load in loads:
                    beside[load.name] += await run(load)
        return lines + list(format_table(loads, alone, beside))


async def train(client: httpx2.AsyncClient, model: str, file_id: str, steps: int) -> tuple[dict[str, Any], float, int]:
    """The job at its end, the seconds that it took, and the bytes that its process took at most."""
    began = time.monotonic()
    job = await create(client, model, file_id, steps)
    peak = 0
    while job["status"] not in ("SUCCESS", "FAILED", "FAILED_VALIDATION"):
        await asyncio.sleep(BETWEEN_LOOKS)
        job = (await client.get(f"{JOBS}/{job['id']}")).raise_for_status().json()
        peak = max(peak, trainer_memory())
    if job["status"] != "SUCCESS":
        raise ServerError(f"the job ended as {job['status']}: {job['events'][0]}")
    return job, time.monotonic() - began, peak


async def create(client: httpx2.AsyncClient, model: str, file_id: str, steps: int) -> dict[str, Any]:
    """A new job."""
    asked = {
        "model": model,
        "training_files": [{"file_id": file_id, "weight": 1}],
        "hyperparameters": {"training_steps": steps, "seq_len": SEQ_LEN},
    }
    job: dict[str, Any] = (await client.post(JOBS, json=asked)).raise_for_status().json()
    return job


@asynccontextmanager
async def training(client: httpx2.AsyncClient, model: str, file_id: str) -> AsyncIterator[None]:
    """A job that takes steps for as long as the block lasts."""
    job = await create(client, model, file_id, ENDLESS)
    while not any(event["name"] == "progress" for event in job.get("events", [])):
        await asyncio.sleep(BETWEEN_LOOKS)
        job = (await client.get(f"{JOBS}/{job['id']}")).raise_for_status().json()
    yield
    await client.post(f"{JOBS}/{job['id']}/cancel")
    while job["status"] != "CANCELLED":
        await asyncio.sleep(BETWEEN_LOOKS)
        job = (await client.get(f"{JOBS}/{job['id']}")).raise_for_status().json()


def trainer_memory() -> int:
    """Bytes that the training processes below this one take."""
    taken = 0
    for process in psutil.Process().children(recursive=True):
        try:
            if "ponant.training.worker" in process.cmdline():
                taken += process.memory_info().rss
        except psutil.Error:
            continue
    return taken


def describe(name: str, job: dict[str, Any], seconds: float, peak: int) -> Iterator[str]:
    """What a job took."""
    times = {event["data"]["status"]: event["created_at"] for event in job["events"] if "status" in event["data"]}
    losses = [checkpoint["metrics"]["train_loss"] for checkpoint in job["checkpoints"]]
    yield (
        f"- {name}: {seconds:.0f} s from its creation to SUCCESS, {times['SUCCESS'] - times['RUNNING']} s of them "
        f"RUNNING; {job['trained_tokens']} tokens; at most {peak / 2**30:.2f} GiB; loss {losses[-1]:.2f} to "
        f"{losses[0]:.2f}"
    )


def format_table(loads: list[Load], alone: dict[str, list[float]], beside: dict[str, list[float]]) -> Iterator[str]:
    """Return the table: for each load its rate alone and beside a job."""
    yield ""
    yield "| load | alone | beside a job | share |"
    yield "|---|---:|---:|---:|"
    for load in loads:
        before, during = statistics.median(alone[load.name]), statistics.median(beside[load.name])
        yield f"| {load.name} | {before:.0f} {load.unit} | {during:.0f} | {during / before:.2f} |"


if __name__ == "__main__":
    sys.exit(main())
