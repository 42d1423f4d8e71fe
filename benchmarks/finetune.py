"""Measure fine-tuning of the bundled model: `python -m benchmarks.finetune`.

A server gets a job of 60 steps of 512 tokens, made of a text of the tests, then another one: the first one on a machine
reads the weights from the GGUF file. The report has the time from a job's creation to SUCCESS and the memory of the
trainer. Then streams run alone and during another such job; the table shows the share of their rate that they keep.
"""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks.cli import add_ponant, add_rounds, add_threads, make_parser, positive, run
from benchmarks.exchange import Target
from benchmarks.report import Table, describe_machine, publish, show_progress
from benchmarks.servers import ServerError, Setup, find_ponant, open_resources, running
from benchmarks.sharing import Workload, chat_workload, run_workloads, share_cells

BUNDLED = "smollm2"
TEXT = Path(__file__).parents[1] / "tests" / "data" / "perplexity.txt"
SETUP = Setup("the bundled model", parallel=16, cells=8_192)
JOBS = "/v1/fine_tuning/jobs"
TRAINER = "ponant.training.worker"
"""The module that the trainer's process runs."""
SEQ_LEN = 512
ENDLESS = 10_000
"""Steps of the job that runs during the streams; it is cancelled after them."""
POLL_SECONDS = 0.2


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    ponant = find_ponant(arguments.ponant)
    with (
        open_resources(ponant, BUNDLED, arguments.threads) as resources,
        running(ponant, resources, SETUP) as server,
    ):
        publish(asyncio.run(measure(server.target, arguments.steps, arguments.rounds)))
    return 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser("finetune", __doc__)
    parser.add_argument("--steps", type=positive, default=60, help="steps of the job (%(default)s)")
    add_rounds(parser)
    add_threads(parser)
    add_ponant(parser)
    return parser.parse_args()


def dataset() -> bytes:
    """Return conversations made of a text: a third of a passage is the question, the rest is the answer."""
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
    """Run the jobs and the streams; return the report."""
    async with httpx2.AsyncClient(base_url=target.endpoint.base_url, timeout=120) as client:
        model = (await client.get("/v1/models")).json()["data"][0]["id"]
        uploaded = await client.post("/v1/files", files={"file": ("data.jsonl", dataset())})
        file_id = uploaded.raise_for_status().json()["id"]
        lines = [f"{steps} steps of {SEQ_LEN} tokens. {describe_machine()}", ""]
        for name in ("the first job of a machine", "the next one"):
            show_progress(name)
            lines.append(describe(name, *await train(client, model, file_id, steps)))
        workloads = [chat_workload(target, model, 1), chat_workload(target, model, 8)]
        alone: dict[str, list[float]] = {workload.name: [] for workload in workloads}
        during: dict[str, list[float]] = {workload.name: [] for workload in workloads}
        for number in range(1, rounds + 1):
            show_progress(f"round {number}: streams alone")
            for workload in workloads:
                alone[workload.name] += await run_workloads(workload)
            async with training(client, model, file_id):
                show_progress(f"round {number}: streams during a job")
                for workload in workloads:
                    during[workload.name] += await run_workloads(workload)
        return [*lines, *format_table(workloads, alone, during)]


async def train(client: httpx2.AsyncClient, model: str, file_id: str, steps: int) -> tuple[dict[str, Any], float, int]:
    """Run a job; return it as it ended, its seconds, and the most bytes of its process."""
    began = time.monotonic()
    job = await create(client, model, file_id, steps)
    peak = 0
    while job["status"] not in ("SUCCESS", "FAILED", "FAILED_VALIDATION"):
        job = await reload(client, job)
        peak = max(peak, trainer_memory())
    if job["status"] != "SUCCESS":
        raise ServerError(f"the job ended as {job['status']}: {job['events'][0]}")
    return job, time.monotonic() - began, peak


async def create(client: httpx2.AsyncClient, model: str, file_id: str, steps: int) -> dict[str, Any]:
    """Create a job."""
    asked = {
        "model": model,
        "training_files": [{"file_id": file_id, "weight": 1}],
        "hyperparameters": {"training_steps": steps, "seq_len": SEQ_LEN},
    }
    job: dict[str, Any] = (await client.post(JOBS, json=asked)).raise_for_status().json()
    return job


async def reload(client: httpx2.AsyncClient, job: dict[str, Any]) -> dict[str, Any]:
    """Return a job's state after a short pause."""
    await asyncio.sleep(POLL_SECONDS)
    reloaded: dict[str, Any] = (await client.get(f"{JOBS}/{job['id']}")).raise_for_status().json()
    return reloaded


@asynccontextmanager
async def training(client: httpx2.AsyncClient, model: str, file_id: str) -> AsyncIterator[None]:
    """Run a job from its first step until the block ends."""
    job = await create(client, model, file_id, ENDLESS)
    while not any(event["name"] == "progress" for event in job.get("events", [])):
        job = await reload(client, job)
    yield
    await client.post(f"{JOBS}/{job['id']}/cancel")
    while job["status"] != "CANCELLED":
        job = await reload(client, job)


def trainer_memory() -> int:
    """Return the resident bytes of the training processes below this one."""
    taken = 0
    for process in psutil.Process().children(recursive=True):
        try:
            if TRAINER in process.cmdline():
                taken += process.memory_info().rss
        except psutil.Error:
            continue
    return taken


def describe(name: str, job: dict[str, Any], seconds: float, peak: int) -> str:
    """Return the line about a job."""
    times = {event["data"]["status"]: event["created_at"] for event in job["events"] if "status" in event["data"]}
    losses = [checkpoint["metrics"]["train_loss"] for checkpoint in job["checkpoints"]]
    return (
        f"- {name}: {seconds:.0f} s from its creation to SUCCESS, {times['SUCCESS'] - times['RUNNING']} s of them "
        f"RUNNING; {job['trained_tokens']} tokens; at most {peak / 2**30:.2f} GiB; loss {losses[-1]:.2f} to "
        f"{losses[0]:.2f}"
    )


def format_table(
    workloads: list[Workload], alone: dict[str, list[float]], during: dict[str, list[float]]
) -> Iterator[str]:
    """Yield the table: for each workload its rate alone and its rate during a job."""
    yield ""
    table = Table(("load", "alone", "during a job", "share"), text=("load",))
    yield from table.lines(
        (workload.name, *share_cells(workload, alone[workload.name], during[workload.name])) for workload in workloads
    )


if __name__ == "__main__":
    run(main)
