"""Measure how models of one server share the machine: `python -m benchmarks.sharing MODEL.gguf [OTHER.gguf]`.

The server has two chat models, the same one twice unless another is given, and the bundled embedding model. Each
workload runs alone, and then together with another one: streams of one model with streams of the other, and streams
with texts being embedded. The table shows the share of its rate alone that each workload keeps.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import httpx2

from benchmarks.cli import add_models, add_ponant, add_rounds, add_threads, make_parser, run
from benchmarks.exchange import Message, Request, Target, send
from benchmarks.report import Table, describe_machine, publish, show_progress
from benchmarks.servers import (
    HOST,
    Contender,
    Resources,
    ServerError,
    Setup,
    find_ponant,
    open_resources,
    running,
)

SETUP = Setup("two chat models and an embedding model", parallel=16, cells=8_192)
SECONDS = 10.0
"""Duration of each workload."""
TOKENS = 64
TEXTS_AT_ONCE = 16
FIRST, SECOND, EMBEDDER = "first", "second", "multilingual-e5-small"

Work = Callable[[], Awaitable[int]]
"""Work that is done once; returns its amount: tokens or texts."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Work that is repeated.

    Attributes:
        name: Name in the table.
        unit: Unit of its rate.
        clients: Number of times that it runs at once.
        work: One repetition.
    """

    name: str
    unit: str
    clients: int
    work: Work


Pair = tuple[Workload, Workload]
Rates = dict[tuple[Workload, Workload | None], list[float]]
"""The rates of a workload in all rounds, alone (None) and together with another one."""


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    ponant = find_ponant(arguments.ponant)
    with open_resources(ponant, arguments.models[0], arguments.threads) as first:
        with open_resources(ponant, arguments.models[-1], arguments.threads) as second:
            contender = serving(ponant, (first, second))
        with running(contender, first, SETUP) as server:
            publish(asyncio.run(measure(server.target, arguments.rounds)))
    return 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser("sharing", __doc__)
    add_models(parser, "weights of one model or of two")
    add_rounds(parser)
    add_threads(parser)
    add_ponant(parser)
    return parser.parse_args()


def serving(ponant: Contender, models: Sequence[Resources]) -> Contender:
    """Return the server with its models."""
    served = [
        {"source": str(model.model), "id": name, "kv_memory": SETUP.cells * model.cell_size}
        for name, model in zip((FIRST, SECOND), models, strict=True)
    ]

    def arguments(resources: Resources, _setup: Setup, port: int) -> list[str]:
        return ["serve", "--host", HOST, "--port", str(port), "--threads", str(resources.threads)]

    kind = replace(ponant.kind, arguments=arguments)
    return replace(ponant, kind=kind, settings={"PONANT_MODELS": json.dumps([*served, EMBEDDER])})


async def measure(target: Target, rounds: int) -> list[str]:
    """Run all workloads; return the report."""
    async with httpx2.AsyncClient(base_url=target.endpoint.base_url, timeout=120) as client:
        first, second = chat_workload(target, FIRST, 1), chat_workload(target, SECOND, 1)
        many, texts = chat_workload(target, FIRST, 8), embedding_workload(client)
        workloads = (first, second, many, texts)
        for workload in workloads:
            await workload.work()  # loads the model
        pairs = ((first, second), (many, second), (first, texts), (many, texts))
        return list(format_table(pairs, await run_rounds(workloads, pairs, rounds)))


async def run_rounds(workloads: Sequence[Workload], pairs: Sequence[Pair], rounds: int) -> Rates:
    """Run each workload alone and each pair together, in every round."""
    rates: Rates = {}
    for number in range(1, rounds + 1):
        for workload in workloads:
            show_progress(f"round {number}: {workload.name}")
            rates.setdefault((workload, None), []).extend(await run_workloads(workload))
        for pair in pairs:
            show_progress(f"round {number}: {pair[0].name} and {pair[1].name}")
            for workload, other, rate in zip(pair, reversed(pair), await run_workloads(*pair), strict=True):
                rates.setdefault((workload, other), []).append(rate)
    return rates


def chat_workload(target: Target, model: str, clients: int) -> Workload:
    """Return streams of a chat model."""
    chosen = replace(target, model=model)

    async def chat() -> int:
        request = Request((Message("user", "Tell me a long story."),), tokens=TOKENS, exact=True)
        exchange = await send(chosen, request)
        if exchange.error:
            raise ServerError(exchange.error)
        return exchange.tokens

    streams = "stream" if clients == 1 else "streams"
    return Workload(f"{clients} {streams} of the {model} model", "tokens/s", clients, chat)


def embedding_workload(client: httpx2.AsyncClient) -> Workload:
    """Return texts that are embedded, several per call."""
    texts = [f"Sentence number {number} of a text about the sea and its islands." for number in range(TEXTS_AT_ONCE)]

    async def embed() -> int:
        response = await client.post("/v1/embeddings", json={"model": EMBEDDER, "input": texts})
        response.raise_for_status()
        return len(texts)

    return Workload(f"texts embedded, {TEXTS_AT_ONCE} at once", "texts/s", 1, embed)


async def run_workloads(*workloads: Workload) -> list[float]:
    """Run workloads at the same time; return the rate of each, per second."""
    ends = time.perf_counter() + SECONDS

    async def repeat(workload: Workload) -> float:
        began, done = time.perf_counter(), 0
        while time.perf_counter() < ends:
            done += await workload.work()
        return done / (time.perf_counter() - began)

    async def rate(workload: Workload) -> float:
        return sum(await asyncio.gather(*(repeat(workload) for _ in range(workload.clients))))

    return await asyncio.gather(*map(rate, workloads))


def format_table(pairs: Sequence[Pair], rates: Rates) -> Iterator[str]:
    """Yield the table: for both workloads of each pair the rate alone, and the rate together with the other."""
    yield f"Medians of rounds of {SECONDS:g} s a load. {describe_machine()}"
    yield ""
    table = Table(("load", "other load", "alone", "together", "share"), text=("load", "other load"))
    yield from table.lines(
        (load.name, other.name, *share_cells(load, rates[load, None], rates[load, other]))
        for pair in pairs
        for load, other in (pair, pair[::-1])
    )


def share_cells(workload: Workload, alone: list[float], together: list[float]) -> tuple[str, str, str]:
    """Return the median rate alone, the median rate together with other work, and their ratio."""
    before, during = statistics.median(alone), statistics.median(together)
    return f"{before:.0f} {workload.unit}", f"{during:.0f}", f"{during / before:.2f}"


if __name__ == "__main__":
    run(main)
