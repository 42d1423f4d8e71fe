"""One request to a server, and what came back when."""

import asyncio
import itertools
import json
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict, cast

from benchmarks.dialects import Dialect, Request, request_body
from benchmarks.stream_client import SHOWN_ERROR_SIZE, Endpoint, StreamError, stream_events


@dataclass(frozen=True, slots=True)
class Target:
    """The server that requests are sent to, and how it wants to be spoken to."""

    endpoint: Endpoint
    dialect: Dialect
    model: str | None = None
    timeout: float = 300.0


@dataclass(slots=True)
class Call:
    """A call of a function, its arguments as the JSON text that came."""

    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Exchange:
    """One request and what came back. Times are in seconds of one clock.

    Attributes:
        started: When the request was sent.
        finished: When its last event came.
        token_times: For each choice, when its events with text came.
        text: The pieces of the first choice's text.
        calls: The calls of the first choice, by their index.
        finish: Why the first choice ended.
        prompt_tokens: The server's count of the prompt's tokens.
        accepted: How many tokens of a prediction the server took, where it says so.
        rejected: How many it computed in vain, where it says so.
        error: Why there is no complete answer.
    """

    started: float
    finished: float = 0.0
    token_times: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    text: list[str] = field(default_factory=list[str])
    calls: dict[int, Call] = field(default_factory=dict[int, Call])
    finish: str | None = None
    prompt_tokens: int = 0
    accepted: int | None = None
    rejected: int | None = None
    error: str | None = None
    _counted_tokens: int = 0

    @property
    def tokens(self) -> int:
        """The server's own count where it gave one, else the number of events with text."""
        return self._counted_tokens or sum(map(len, self.token_times.values()))

    @property
    def first_token(self) -> float | None:
        """When the first text came."""
        return min((times[0] for times in self.token_times.values()), default=None)

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """The times of every two events with text that follow one another in one choice."""
        return [pair for times in self.token_times.values() for pair in itertools.pairwise(times)]

    def receive(self, payload: bytes) -> None:
        """Take in the data of one event.

        Raises:
            StreamError: The event reports an error.
        """
        now = self.finished = time.perf_counter()
        chunk = cast(Chunk, json.loads(payload))
        if "choices" not in chunk:
            raise StreamError(f"an event without choices: {payload[:SHOWN_ERROR_SIZE].decode(errors='replace')}")
        if usage := chunk.get("usage"):
            self.count(usage)
        for choice in chunk["choices"]:
            delta = choice["delta"]
            if choice["index"] == 0:
                self.finish = choice.get("finish_reason") or self.finish
            if not (delta.get("content") or delta.get("reasoning_content") or delta.get("tool_calls")):
                continue
            self.token_times.setdefault(choice["index"], []).append(now)
            if choice["index"] == 0:
                self.read(delta)

    def read(self, delta: "ChunkDelta") -> None:
        """Add what a chunk has of the answer."""
        if isinstance(content := delta.get("content"), str):
            self.text.append(content)
        for part in delta.get("tool_calls") or []:
            call = self.calls.setdefault(part.get("index", 0), Call())
            call.name += part["function"].get("name") or ""
            call.arguments += part["function"].get("arguments") or ""

    def count(self, usage: "Usage") -> None:
        """Add up the counts: llama-server sends one for each choice, others one for all."""
        self.prompt_tokens = usage["prompt_tokens"]
        self._counted_tokens += usage["completion_tokens"]
        if details := usage.get("completion_tokens_details"):
            self.accepted = details.get("accepted_prediction_tokens")
            self.rejected = details.get("rejected_prediction_tokens")


class UsageDetails(TypedDict, total=False):
    """What became of a prediction."""

    accepted_prediction_tokens: int | None
    rejected_prediction_tokens: int | None


class Usage(TypedDict):
    """The part of a chunk's usage that is read."""

    prompt_tokens: int
    completion_tokens: int
    completion_tokens_details: NotRequired[UsageDetails | None]


class FunctionDelta(TypedDict, total=False):
    """What a chunk adds to a call: first the name, then piece by piece the arguments."""

    name: str | None
    arguments: str | None


class CallDelta(TypedDict):
    """The call that a chunk adds to."""

    index: NotRequired[int]
    function: FunctionDelta


class ChunkDelta(TypedDict, total=False):
    """What a chunk adds to a choice, in any dialect."""

    content: object
    reasoning_content: object
    tool_calls: list[CallDelta] | None


class ChunkChoice(TypedDict):
    """One choice in a chunk."""

    index: int
    delta: ChunkDelta
    finish_reason: NotRequired[str | None]


class Chunk(TypedDict, total=False):
    """The data of one event; one that reports an error has no choices, whatever its shape."""

    choices: list[ChunkChoice]
    usage: Usage | None


async def send(target: Target, request: Request) -> Exchange:
    """Send one request and read its stream to the end; a failure becomes the exchange's error."""
    exchange = Exchange(started=time.perf_counter())
    await fill(exchange, target, request)
    return exchange


async def fill(exchange: Exchange, target: Target, request: Request) -> None:
    """Send one request and add what comes back to an exchange, for those who look at it meanwhile."""
    body = request_body(request, target.dialect, target.model)
    exchange.started = time.perf_counter()
    try:
        async with asyncio.timeout(target.timeout), aclosing(stream_events(target.endpoint, body)) as events:
            async for payload in events:
                exchange.receive(payload)
    except TimeoutError:
        exchange.error = f"no complete answer within {target.timeout:g} s"
    except (StreamError, OSError) as error:
        exchange.error = str(error)
    except (LookupError, TypeError, ValueError) as error:
        exchange.error = f"an event of another shape: {error!r}"
