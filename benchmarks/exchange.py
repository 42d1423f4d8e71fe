"""Chat completion requests, and the exchange of one request with a server."""

import asyncio
import itertools
import json
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NotRequired, TypedDict, cast

from benchmarks.stream_client import SHOWN_ERROR_SIZE, Endpoint, StreamError, stream_events


class Dialect(StrEnum):
    """The API of a server."""

    MISTRAL = "mistral"
    OPENAI = "openai"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: Its role.
        content: Its text.
        prefix: True for the beginning of the answer, which only Mistral's API accepts.
    """

    role: str
    content: str
    prefix: bool = False

    def body(self) -> dict[str, object]:
        """Return the message as JSON."""
        body: dict[str, object] = {"role": self.role, "content": self.content}
        return {**body, "prefix": True} if self.prefix else body


@dataclass(frozen=True, slots=True)
class Request:
    """One streamed chat completion.

    Attributes:
        messages: The conversation.
        tokens: Most tokens of each choice.
        temperature: The sampling temperature.
        seed: The sampling seed, or None to send none.
        choices: The number of completions.
        exact: True to forbid an end before `tokens` tokens: `min_tokens` in Mistral's dialect; in OpenAI's,
            `ignore_eos`, which llama-server and vLLM understand and OpenAI's own service does not.
        prediction: The expected answer.
        schema: The JSON schema of the answer.
        tools: Tools that the model may call (`tool_choice: auto`).
    """

    messages: tuple[Message, ...]
    tokens: int
    temperature: float = 0.0
    seed: int | None = None
    choices: int = 1
    exact: bool = True
    prediction: str | None = None
    schema: Mapping[str, object] | None = None
    tools: tuple[Mapping[str, object], ...] = ()


def request_body(request: Request, dialect: Dialect, model: str | None) -> bytes:
    """Return the JSON body of a request.

    Args:
        request: The request.
        dialect: The API of the server. OpenAI's sends usage in a stream only on request, and Mistral's refuses the
            field that requests it.
        model: The model's name, or None to leave the choice to the server.
    """
    body: dict[str, object] = {
        "messages": [message.body() for message in request.messages],
        "max_tokens": request.tokens,
        "temperature": request.temperature,
        "stream": True,
    }
    if model is not None:
        body["model"] = model
    if request.choices > 1:
        body["n"] = request.choices
    if request.prediction is not None:
        body["prediction"] = {"type": "content", "content": request.prediction}
    if request.schema is not None:
        named = {"name": "document", "schema": request.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if request.tools:
        body["tools"] = request.tools
        body["tool_choice"] = "auto"
    match dialect:
        case Dialect.MISTRAL:
            if request.seed is not None:
                body["random_seed"] = request.seed
            if request.exact:
                body["min_tokens"] = request.tokens
        case Dialect.OPENAI:
            if request.seed is not None:
                body["seed"] = request.seed
            body["stream_options"] = {"include_usage": True}
            if request.exact:
                body["ignore_eos"] = True
    return json.dumps(body).encode()


@dataclass(frozen=True, slots=True)
class Target:
    """The server and the model that requests are sent to.

    Attributes:
        endpoint: The server's address.
        dialect: The server's API.
        model: The model's name, or None to leave the choice to the server.
        timeout: Most seconds of one request.
    """

    endpoint: Endpoint
    dialect: Dialect
    model: str | None = None
    timeout: float = 300.0


@dataclass(slots=True)
class Call:
    """A tool call; its arguments are the JSON text as received."""

    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Exchange:
    """One request and its response. Times are in seconds of `time.perf_counter`.

    Attributes:
        started: Time at which the request was sent.
        finished: Time of the last event.
        token_times: Times of the events with text or calls, by choice.
        pieces: Texts of the events, by choice.
        calls: Tool calls of the first choice, by their index.
        finish: Finish reason of the first choice.
        prompt_tokens: The server's count of the prompt's tokens.
        accepted: Tokens of a prediction that the server accepted, if it reports them.
        rejected: Tokens of a prediction that the server rejected, if it reports them.
        error: The reason why the response is incomplete, or None.
    """

    started: float
    finished: float = 0.0
    token_times: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    pieces: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    calls: dict[int, Call] = field(default_factory=dict[int, Call])
    finish: str | None = None
    prompt_tokens: int = 0
    accepted: int | None = None
    rejected: int | None = None
    error: str | None = None
    _counted_tokens: int = 0

    @property
    def tokens(self) -> int:
        """The server's count of the completion tokens, or the number of events with text if there is none."""
        return self._counted_tokens or sum(map(len, self.token_times.values()))

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return "".join(self.pieces.get(0, []))

    @property
    def first_token(self) -> float | None:
        """Time of the first event with text."""
        return min((times[0] for times in self.token_times.values()), default=None)

    @property
    def first_token_wait(self) -> float | None:
        """Seconds from the request to the first event with text."""
        return None if self.first_token is None else self.first_token - self.started

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """The pairs of times of consecutive events with text in one choice."""
        return [pair for times in self.token_times.values() for pair in itertools.pairwise(times)]

    def receive(self, payload: bytes) -> None:
        """Add the data of one event.

        Raises:
            StreamError: The event reports an error.
        """
        now = self.finished = time.perf_counter()
        chunk = cast(Chunk, json.loads(payload))
        if "choices" not in chunk:
            raise StreamError(f"an event without choices: {payload[:SHOWN_ERROR_SIZE].decode(errors='replace')}")
        if usage := chunk.get("usage"):
            self._count(usage)
        for choice in chunk["choices"]:
            index, delta = choice["index"], choice["delta"]
            if index == 0:
                self.finish = choice.get("finish_reason") or self.finish
            if not (delta.get("content") or delta.get("reasoning_content") or delta.get("tool_calls")):
                continue
            self.token_times.setdefault(index, []).append(now)
            if isinstance(content := delta.get("content"), str):
                self.pieces.setdefault(index, []).append(content)
            if index == 0:
                self._add_calls(delta.get("tool_calls") or [])

    def _add_calls(self, parts: list["CallDelta"]) -> None:
        for part in parts:
            call = self.calls.setdefault(part.get("index", 0), Call())
            call.name += part["function"].get("name") or ""
            call.arguments += part["function"].get("arguments") or ""

    def _count(self, usage: "Usage") -> None:
        """Add the counts of one event: llama-server sends one for each choice, others one for all."""
        self.prompt_tokens = usage["prompt_tokens"]
        self._counted_tokens += usage["completion_tokens"]
        if details := usage.get("completion_tokens_details"):
            self.accepted = details.get("accepted_prediction_tokens")
            self.rejected = details.get("rejected_prediction_tokens")


class UsageDetails(TypedDict, total=False):
    """The tokens of a prediction."""

    accepted_prediction_tokens: int | None
    rejected_prediction_tokens: int | None


class Usage(TypedDict):
    """The fields of a chunk's usage that are read."""

    prompt_tokens: int
    completion_tokens: int
    completion_tokens_details: NotRequired[UsageDetails | None]


class FunctionDelta(TypedDict, total=False):
    """A chunk's part of a call: first the name, then the arguments in pieces."""

    name: str | None
    arguments: str | None


class CallDelta(TypedDict):
    """A chunk's part of a call, with the call's index."""

    index: NotRequired[int]
    function: FunctionDelta


class ChunkDelta(TypedDict, total=False):
    """A chunk's part of a choice, in any dialect."""

    content: object
    reasoning_content: object
    tool_calls: list[CallDelta] | None


class ChunkChoice(TypedDict):
    """One choice in a chunk."""

    index: int
    delta: ChunkDelta
    finish_reason: NotRequired[str | None]


class Chunk(TypedDict, total=False):
    """The data of one event. An event that reports an error has no choices."""

    choices: list[ChunkChoice]
    usage: Usage | None


async def send(target: Target, request: Request) -> Exchange:
    """Send one request and read its stream to the end; a failure is the exchange's `error`."""
    exchange = Exchange(started=time.perf_counter())
    await fill(exchange, target, request)
    return exchange


async def fill(exchange: Exchange, target: Target, request: Request) -> None:
    """Send one request and add its events to an exchange, which can be read meanwhile."""
    body = request_body(request, target.dialect, target.model)
    exchange.started = time.perf_counter()
    try:
        async with asyncio.timeout(target.timeout), aclosing(stream_events(target.endpoint, body)) as events:
            async for payload in events:
                exchange.receive(payload)
    except TimeoutError:
        exchange.error = f"no complete response within {target.timeout:g} s"
    except (StreamError, OSError) as error:
        exchange.error = str(error)
    except (LookupError, TypeError, ValueError) as error:
        exchange.error = f"an event of another shape: {error!r}"
