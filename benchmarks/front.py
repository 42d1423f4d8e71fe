"""Measure the server's own share of the work: `python -m benchmarks.front MODEL.gguf`.

The server is `ponant serve`, once with a worker that answers at once without a model (`benchmarks.front_worker`) and
once with the engine. Its processor time is that of the server's process alone, with all its threads, as the kernel
counts it; the worker and this program are processes of their own. A figure is the median of several rounds, which
alternate; in brackets are the least and the greatest.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
import uvloop

from benchmarks.cli import add_model, add_output, add_rounds, add_threads, make_parser, positive_list, run
from benchmarks.exchange import Dialect
from benchmarks.front_worker import SILENT, STEP, TIMED, TIMES, SendTimes
from benchmarks.report import Table, describe_machine, format_number, percentile, publish, show_progress, write
from benchmarks.servers import (
    PONANT,
    Contender,
    Kind,
    Resources,
    Running,
    Setup,
    find_ponant,
    open_resources,
    ponant_arguments,
    ponant_environment,
    running,
)
from benchmarks.stream_client import Endpoint

STEP_SECONDS = 0.01
"""Length of a step of the worker without a model. The server is idle between two steps, as it is with an engine."""
REAL_TOKENS = 64
"""Tokens of a stream of the engine."""
WHOLE_REQUESTS = 400
IDLE_STREAMS = 2000
OPENED_AT_ONCE = 50
PROMPT = "Write about the sea."
ROOT = Path(__file__).parents[1]

Figures = dict[str, float]
"""Figures of a round by their names."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server that runs, and the file with the times at which its worker sent tokens."""

    server: Running
    times: SendTimes | None = None

    @property
    def endpoint(self) -> Endpoint:
        """The address of the chat completions."""
        return self.server.target.endpoint

    def processor_seconds(self) -> float:
        """Return the processor time of the server's process so far, with all its threads."""
        return time.clock_gettime(~self.server.process << 3 | 2)  # the clock of a process: clock_getcpuclockid(3)

    def memory(self) -> int:
        """Return the memory of the server's process alone, in bytes: all pages that no other process has."""
        return psutil.Process(self.server.process).memory_full_info().uss


class EventCounter(asyncio.Protocol):
    """A connection that posts requests, and counts the events of the streams that answer them.

    Attributes:
        arrivals: Time of each event of the stream, by `time.monotonic`.
        begun: Set at the first token of a stream, after its role.
        ended: Set at the end of an answer.
    """

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.begun, self.ended = asyncio.Event(), asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Count the events of a piece. Every write of the server ends with an event."""
        self.arrivals += [time.monotonic()] * data.count(b"data: {")
        if len(self.arrivals) > 1:
            self.begun.set()
        if data.endswith((b"0\r\n\r\n", b"}")):
            self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer."""
        self.ended.set()

    def post(self, endpoint: Endpoint, body: Mapping[str, object]) -> None:
        """Send a request."""
        self.ended.clear()
        assert self._transport
        request = endpoint.request(json.dumps(body).encode())
        self._transport.write(request.replace(b"Connection: close\r\n", b""))

    def close(self) -> None:
        """Close the connection."""
        assert self._transport
        self._transport.close()


def main() -> int:
    """Run the program; return its exit code."""
    parser = make_parser("front", __doc__)
    add_model(parser)
    add_threads(parser)
    add_rounds(parser, 5)
    add_output(parser, "file for the table")
    parser.add_argument("--streams", type=positive_list, default=[1, 16, 64], help="numbers of streams (1,16,64)")
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a stream without a model (%(default)s)")
    parser.add_argument("--no-engine", action="store_true", help="measure only without a model")
    parser.add_argument("--no-memory", action="store_true", help="open no idle streams")
    parser.add_argument("--baseline", type=Path, metavar="CHECKOUT", help="another checkout to compare with")
    arguments = parser.parse_args()
    ponants = {"Ponant": find_ponant("ponant")}
    if arguments.baseline:
        ponants["baseline"] = find_ponant(str(arguments.baseline / ".venv/bin/ponant"))
    loads = Loads(arguments.streams, arguments.tokens, has_memory=not arguments.no_memory)
    with open_resources(ponants["Ponant"], arguments.model, arguments.threads) as resources:
        rounds: dict[str, list[Figures]] = {name: [] for name in ponants}
        for number in range(arguments.rounds):
            for name in sorted(ponants, reverse=bool(number % 2)):
                show_progress(f"round {number + 1} of {arguments.rounds}: {name}")
                rounds[name].append(measure(ponants[name], resources, loads, with_engine=not arguments.no_engine))
    lines = [f"- Machine: {describe_machine()}; {arguments.rounds} rounds", "", *table_of(rounds)]
    publish(lines)
    write(lines, arguments.output)
    return 0


@dataclass(frozen=True, slots=True)
class Loads:
    """The loads of a round.

    Attributes:
        streams: Numbers of streams at once.
        tokens: Tokens of a stream without a model.
        has_memory: True to measure the memory of idle streams.
    """

    streams: Sequence[int]
    tokens: int
    has_memory: bool


def measure(ponant: Contender, resources: Resources, loads: Loads, *, with_engine: bool) -> Figures:
    """Return the figures of a round."""
    figures: Figures = {}
    with without_model(ponant, resources) as place:
        asyncio.run(warm_up(place))
        figures |= asyncio.run(measure_whole(place))
        for streams in loads.streams:
            figures |= asyncio.run(measure_streams(place, streams, loads.tokens))
        if loads.has_memory:
            figures |= asyncio.run(measure_idle(place))
    if with_engine:
        with running(ponant, resources, Setup("front", max(loads.streams), 256 * max(loads.streams))) as server:
            place = Place(server)
            asyncio.run(warm_up(place))
            for streams in loads.streams:
                figures |= asyncio.run(measure_streams(place, streams, REAL_TOKENS))
    return figures


@contextmanager
def without_model(ponant: Contender, resources: Resources) -> Iterator[Place]:
    """Start a server whose worker has no model."""
    python = str(Path(ponant.program).parent / "python")
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder) / "times"
        kind = Kind(ponant.name, python, Dialect.MISTRAL, PONANT.ready_path, front_arguments, ponant_environment)
        settings = {"PYTHONPATH": str(ROOT), STEP: str(STEP_SECONDS), TIMES: str(times)}
        setup = Setup("front", 16, 1024)
        kept = SendTimes(times)
        with running(Contender(kind.name, kind, python, ponant.version, settings), resources, setup) as server:
            yield Place(server, kept)


def front_arguments(resources: Resources, setup: Setup, port: int) -> list[str]:
    """Return the arguments of Python that start a server whose worker has no model."""
    return ["-m", "benchmarks.front_server", *ponant_arguments(resources, setup, port)]


def body_of(tokens: int, *, stream: int | None = None) -> dict[str, object]:
    """Return the body of a request, which is streamed if it has the number of a stream."""
    body: dict[str, object] = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": tokens}
    return body if stream is None else {**body, "stream": True, "top_k": stream, "min_tokens": tokens}


async def connect(place: Place) -> EventCounter:
    """Open a connection."""
    _, connection = await asyncio.get_running_loop().create_connection(
        EventCounter, place.endpoint.host, place.endpoint.port
    )
    return connection


async def warm_up(place: Place) -> None:
    """Send requests that are not measured."""
    connection = await connect(place)
    for _ in range(20):
        connection.post(place.endpoint, body_of(1))
        await connection.ended.wait()
        connection.post(place.endpoint, body_of(20, stream=1))
        await connection.ended.wait()
    connection.close()


async def measure_whole(place: Place) -> Figures:
    """Measure whole requests of one token, one after another on one connection."""
    connection = await connect(place)
    seconds: list[float] = []
    before = place.processor_seconds()
    for _ in range(WHOLE_REQUESTS):
        began = time.monotonic()
        connection.post(place.endpoint, body_of(1))
        await connection.ended.wait()
        seconds.append(time.monotonic() - began)
    spent = place.processor_seconds() - before
    connection.close()
    return {"whole request of one token, CPU, ms": 1000 * spent / WHOLE_REQUESTS} | added(
        "whole request of one token", seconds
    )


async def measure_streams(place: Place, streams: int, tokens: int) -> Figures:
    """Measure streams at once, with their requests, which take a hundredth of the time."""
    connections = [await connect(place) for _ in range(streams)]
    before = place.processor_seconds()
    for number, connection in enumerate(connections):
        connection.post(place.endpoint, body_of(tokens, stream=number + 1))
    await asyncio.gather(*(connection.ended.wait() for connection in connections))
    spent = place.processor_seconds() - before
    for connection in connections:
        connection.close()
    events = sum(len(connection.arrivals) for connection in connections)
    title = f"{streams} stream{'s' if streams > 1 else ''}"
    title = title if place.times else f"engine, {title}"
    figures = {f"{title}, CPU of a token, ms": 1000 * spent / events}
    if place.times is None:
        return figures
    pairs = enumerate(connections, 1)
    return figures | added(title, [delay for number, each in pairs for delay in delays_of(place.times, number, each)])


def delays_of(times: SendTimes, stream: int, connection: EventCounter) -> list[float]:
    """Return the seconds from the worker to the client of the tokens of a stream. Its first event is the role."""
    arrivals = connection.arrivals[1 : TIMED + 1]
    return [arrived - sent for arrived, sent in zip(arrivals, times.of(stream), strict=False)]


def added(title: str, seconds: list[float]) -> Figures:
    """Return the median and the 99th percentile of times that the server adds."""
    return {
        f"{title}, added p50, ms": 1000 * (percentile(seconds, 0.5) or 0.0),
        f"{title}, added p99, ms": 1000 * (percentile(seconds, 0.99) or 0.0),
    }


async def measure_idle(place: Place) -> Figures:
    """Measure the memory of streams that have begun and are silent."""
    before = place.memory()
    connections: list[EventCounter] = []
    for _ in range(IDLE_STREAMS // OPENED_AT_ONCE):
        opened = [await connect(place) for _ in range(OPENED_AT_ONCE)]
        for connection in opened:
            connection.post(place.endpoint, body_of(SILENT + 1, stream=1))
        await asyncio.gather(*(connection.begun.wait() for connection in opened))
        connections += opened
    after = place.memory()
    for connection in connections:
        connection.close()
    return {
        f"memory with {IDLE_STREAMS} idle streams, MiB": after / 2**20,
        "memory of an idle stream, KiB": (after - before) / IDLE_STREAMS / 2**10,
    }


def table_of(rounds: Mapping[str, Sequence[Figures]]) -> list[str]:
    """Return the table of the medians."""
    names = list(rounds)
    table = Table(("figure", *names), text=("figure",))
    figures = rounds[names[0]][0]
    return table.lines([(figure, *(summary(rounds[name], figure) for name in names)) for figure in figures])


def summary(rounds: Sequence[Figures], figure: str) -> str:
    """Return the median of a figure, with its range."""
    values = [found[figure] for found in rounds]
    low, middle, high = (written(value) for value in (min(values), median(values), max(values)))
    return f"{middle} ({low}-{high})"


def written(value: float) -> str:
    """Return a number, with three decimals below 1."""
    return f"{value:.3f}" if value < 1 else format_number(value)


if __name__ == "__main__":
    uvloop.install()
    os.environ.setdefault("PONANT_LOG_LEVEL", "info")
    run(main)
