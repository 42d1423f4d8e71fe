"""How models that are served together share the machine: `python -m benchmarks.sharing MODEL.gguf [OTHER.gguf]`.

One server has two chat models, the same one twice unless another is given, and the bundled embedding model. Each load
is run alone, and then beside another one: streams of one model beside one of the other, and streams beside texts being
embedded. Shown is the share of its rate alone that each load keeps.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from benchmarks.chat import positive
from benchmarks.compare import interrupt, weights
from benchmarks.dialects import Message, Request
from benchmarks.exchange import Target, send
from benchmarks.machine import describe_machine
from benchmarks.processes import ServerError, running
from benchmarks.servers import HOST, PONANT, Contender, find
from benchmarks.setups import Given, Setup
from benchmarks.weights import kv_cell_size

SETUP = Setup("two chat models and an embedding model", parallel=16, cells=8_192)
SECONDS = 10.0
"""How long each load runs."""
TOKENS = 64
TEXTS_AT_ONCE = 16
FIRST, SECOND, EMBEDDER = "first", "second", "multilingual-e5-small"

Work = Callable[[], Awaitable[int]]
"""Does something once; returns how much that was: tokens, or texts."""


@dataclass(frozen=True, slots=True)
class Load:
    """Something that is done again and again: ``clients`` of it at once, counted in ``unit``."""

    name: str
    unit: str
    clients: int
    work: Work


def main() -> int:
    """Run the program; return its exit code: 2 when it could not begin."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, interrupt)
    ponant = find(PONANT, arguments.ponant)
    if ponant is None:
        print(f"no program {arguments.ponant} found", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as folder:
            given = Given(arguments.models[0].resolve(), arguments.threads, Path(folder))
            with running(serving(ponant, arguments.models), given, SETUP) as server:
                target = Target(server.endpoint, ponant.kind.dialect)
                print("\n".join(asyncio.run(measure(target, arguments.rounds))))
    except ServerError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=__doc__)
    parser.add_argument("models", type=weights, nargs="+", metavar="MODEL.gguf", help="weights of one model or of two")
    parser.add_argument("--rounds", type=positive, default=3, help="how often each load is run (%(default)s)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="threads of each model (%(default)s)")
    parser.add_argument(
        "--ponant", default="ponant", help="the ponant program (default: beside this Python, or on PATH)"
    )
    return parser.parse_args()


def serving(ponant: Contender, models: Sequence[Path]) -> Contender:
    """The server with its models."""
    first, second = models[0].resolve(), models[-1].resolve()

    def arguments(given: Given, _setup: Setup, port: int) -> list[str]:
        return ["serve", "--host", HOST, "--port", str(port), "--threads", str(given.threads)]

    def environment(given: Given, setup: Setup) -> dict[str, str]:
        served = [
            {"source": str(source), "id": name, "kv_memory": setup.cells * kv_cell_size(source)}
            for name, source in ((FIRST, first), (SECOND, second))
        ]
        return {"PONANT_DATA_DIR": str(given.data_dir), "PONANT_MODELS": json.dumps([*served, EMBEDDER])}

    return replace(ponant, kind=replace(ponant.kind, arguments=arguments, environment=environment))


async def measure(target: Target, rounds: int) -> list[str]:
    """Run all loads; return a table."""
    async with httpx2.AsyncClient(
        base_url=f"http://{target.endpoint.host}:{target.endpoint.port}", timeout=120
    ) as client:
        first, second = chat_load(target, FIRST, 1), chat_load(target, SECOND, 1)
        many = chat_load(target, FIRST, 8)
        texts = embedding_load(client)
        pairs = ((first, second), (many, second), (first, texts), (many, texts))
        rates: dict[tuple[Load, Load | None], list[float]] = {}
        for load in (first, second, many, texts):
            await load.work()  # the model is loaded now
        for number in range(rounds):
            for load in (first, second, many, texts):
                show(f"round {number + 1}: {load.name}")
                rates.setdefault((load, None), []).extend(await run(load))
            for pair in pairs:
                show(f"round {number + 1}: {pair[0].name} beside {pair[1].name}")
                for load, other, rate in zip(pair, reversed(pair), await run(*pair), strict=True):
                    rates.setdefault((load, other), []).append(rate)
    return list(format_table(pairs, rates))


def chat_load(target: Target, model: str, clients: int) -> Load:
    """Conversations with a model."""
    chosen = replace(target, model=model)

    async def chat() -> int:
        request = Request((Message("user", "Tell me a long story."),), tokens=TOKENS, exact=True)
        exchange = await send(chosen, request)
        if exchange.error:
            raise ServerError(exchange.error)
        return exchange.tokens

    return Load(f"{clients} {'stream' if clients == 1 else 'streams'} of the {model} model", "tokens/s", clients, chat)


def embedding_load(client: httpx2.AsyncClient) -> Load:
    """Texts being embedded."""
    texts = [f"Sentence number {number} of a text about the sea and its islands." for number in range(TEXTS_AT_ONCE)]

    async def embed() -> int:
        response = await client.post("/v1/embeddings", json={"model": EMBEDDER, "input": texts})
        response.raise_for_status()
        return len(texts)

    return Load(f"texts embedded, {TEXTS_AT_ONCE} at once", "texts/s", 1, embed)


async def run(*loads: Load) -> list[float]:
    """Run loads at the same time; return the rate of each."""
    ends = time.perf_counter() + SECONDS

    async def repeat(load: Load) -> tuple[int, float]:
        began, done = time.perf_counter(), 0
        while time.perf_counter() < ends:
            done += await load.work()
        return done, time.perf_counter() - began

    async def rate(load: Load) -> float:
        parts = await asyncio.gather(*(repeat(load) for _ in range(load.clients)))
        return sum(done / seconds for done, seconds in parts)

    return await asyncio.gather(*map(rate, loads))


def show(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def format_table(
    pairs: Sequence[tuple[Load, Load]], rates: dict[tuple[Load, Load | None], list[float]]
) -> Iterator[str]:
    """Return the table: for both loads of each pair the rate, alone and beside the other."""
    yield f"Medians of rounds of {SECONDS:g} s a load. {describe_machine()}"
    yield ""
    yield "| load | beside | alone | beside it | share |"
    yield "|---|---|---:|---:|---:|"
    for pair in pairs:
        for load, other in (pair, pair[::-1]):
            alone, beside = statistics.median(rates[load, None]), statistics.median(rates[load, other])
            yield f"| {load.name} | {other.name} | {alone:.0f} {load.unit} | {beside:.0f} | {beside / alone:.2f} |"


if __name__ == "__main__":
    sys.exit(main())
