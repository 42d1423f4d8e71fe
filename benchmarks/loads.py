"""Loads: clients that send requests one after the other, and a report of their figures."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, replace

from benchmarks.exchange import Exchange, Message, Request, Target, send
from benchmarks.report import percentile
from benchmarks.texts import long_text, shuffled_prompts


@dataclass(frozen=True, slots=True)
class Load:
    """Clients that each send requests one after the other. Every request has a prompt of its own.

    Attributes:
        name: Name in reports.
        clients: Clients that run at once.
        requests: Requests of each client.
        tokens: Tokens of each choice of a request.
        temperature: Sampling temperature; 0 requests the same work from every server.
        seed: Seed of the prompts and of the requests' seeds.
        seeded: True if requests carry a seed. Most clients send none.
        first_prompt: Index of the load's first prompt. Loads that run against one server have different ones, so that
            no prompt is in the server's cache.
        choices: Completions of each request.
        prompt_tokens: Approximate length of each prompt, or 0 for short prompts.
        shared_tokens: Approximate length of the system prompt that all requests share, or 0 for none.
        exact: True to forbid an end before `tokens` tokens.
        prediction: Prediction of every answer.
    """

    name: str
    clients: int
    requests: int
    tokens: int
    temperature: float = 0.0
    seed: int = 1
    seeded: bool = True
    first_prompt: int = 0
    choices: int = 1
    prompt_tokens: int = 0
    shared_tokens: int = 0
    exact: bool = True
    prediction: str | None = None

    @property
    def total_requests(self) -> int:
        """The number of requests of all clients together."""
        return self.clients * self.requests

    def request(self, number: int) -> Request:
        """Return one request; numbers count the requests of all clients, from 0."""
        messages = [Message("user", self.prompt(number))]
        if self.shared_tokens:
            messages.insert(0, Message("system", long_text(self.seed + self.first_prompt, self.shared_tokens)))
        return Request(
            messages=tuple(messages),
            tokens=self.tokens,
            temperature=self.temperature,
            seed=self.seed * 10_000 + self.first_prompt + number if self.seeded else None,
            choices=self.choices,
            exact=self.exact,
            prediction=self.prediction,
        )

    def prompt(self, number: int) -> str:
        """Return the user's message of one request."""
        if self.prompt_tokens:
            return long_text(self.seed + self.first_prompt + number, self.prompt_tokens)
        prompts = shuffled_prompts(self.seed)
        repeat, place = divmod(self.first_prompt + number, len(prompts))
        return prompts[place] if repeat == 0 else f"Version {repeat + 1}. {prompts[place]}"


WARM_UP = Load("warm-up", clients=1, requests=1, tokens=16, first_prompt=10_000)
ONE_CLIENT = Load(name="1 client × 128 tokens", clients=1, requests=3, tokens=128, temperature=0.7, seeded=False)
SIXTEEN_CLIENTS = replace(ONE_CLIENT, name="16 clients × 64 tokens", clients=16, requests=2, tokens=64, first_prompt=50)
ONE_CLIENT_GREEDY = replace(ONE_CLIENT, name=f"{ONE_CLIENT.name}, greedy", temperature=0, first_prompt=100)
SIXTEEN_CLIENTS_GREEDY = replace(
    SIXTEEN_CLIENTS, name=f"{SIXTEEN_CLIENTS.name}, greedy", temperature=0, first_prompt=150
)
SHARED_PROMPT = Load(
    name="32 requests, 8 at once, one system prompt of 1,600 tokens, 24 tokens each",
    clients=8,
    requests=4,
    tokens=24,
    temperature=0.7,
    seeded=False,
    first_prompt=200,
    shared_tokens=1_600,
)
EIGHT_CHOICES = Load(
    name="n = 8, prompt of 800 tokens, 48 tokens each",
    clients=1,
    requests=3,
    tokens=48,
    temperature=0.7,
    seeded=False,
    first_prompt=250,
    choices=8,
    prompt_tokens=800,
)
STREAMS = replace(ONE_CLIENT, name="streams", clients=8, requests=1, tokens=1_600, first_prompt=300)
LONG_PROMPT = replace(ONE_CLIENT, name="long prompt", requests=2, tokens=8, first_prompt=350, prompt_tokens=6_000)
USELESS_PREDICTION = replace(
    ONE_CLIENT_GREEDY,
    name=f"{ONE_CLIENT_GREEDY.name}, prediction: unrelated text",
    prediction=long_text(seed=5, tokens=300),
)
FIRST_REQUEST = replace(ONE_CLIENT, name="first request", requests=1, tokens=1)


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one run of a load. Times are in seconds; a figure without samples is None.

    The time between tokens is the time between two events with text of one choice. A server that puts several tokens
    into one event has fewer and longer ones.

    Attributes:
        short_requests: Requests that ended with fewer tokens than the load asks for.
        prompt_tokens: Median of the server's counts of the prompts' tokens.
        accepted: Tokens of predictions that the server accepted, if it reports them.
        rejected: Tokens of predictions that the server rejected, if it reports them.
        client_cpu: Processor time of this program during the load, which the server lacks on a small machine.
        error_counts: Occurrences of each error, by its text.
    """

    load: str
    clients: int
    requests: int
    errors: int
    short_requests: int
    prompt_tokens: float | None
    tokens: int
    seconds: float
    tokens_per_second: float
    request_p50: float | None
    first_token_p50: float | None
    first_token_p95: float | None
    between_tokens_p50: float | None
    between_tokens_p95: float | None
    accepted: int | None
    rejected: int | None
    client_cpu: float
    error_counts: dict[str, int]


async def run_load(target: Target, load: Load) -> Report:
    """Send a warm-up request, run the load, and report."""
    await warm_up(target, load.temperature)
    processor_start = time.process_time()
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(run_client(target, load, client)) for client in range(load.clients)]
    exchanges = [exchange for client in clients for exchange in client.result()]
    return summarize(load, exchanges, start, time.process_time() - processor_start)


async def warm_up(target: Target, temperature: float) -> None:
    """Send a short request that is not measured."""
    await send(target, replace(WARM_UP, temperature=temperature).request(0))


async def run_client(target: Target, load: Load, client: int) -> list[Exchange]:
    """Send one client's requests, one after the other."""
    first = client * load.requests
    return [await send(target, load.request(number)) for number in range(first, first + load.requests)]


def summarize(load: Load, exchanges: list[Exchange], start: float, client_cpu: float) -> Report:
    """Return the report of one run. Failed requests count as errors and in no other figure."""
    good = [exchange for exchange in exchanges if exchange.error is None]
    errors = Counter(exchange.error for exchange in exchanges if exchange.error is not None)
    first_tokens = first_token_waits(good)
    between_tokens = [later - earlier for exchange in good for earlier, later in exchange.gaps]
    tokens = sum(exchange.tokens for exchange in good)
    seconds = max((exchange.finished for exchange in good), default=start) - start
    return Report(
        load=load.name,
        clients=load.clients,
        requests=len(exchanges),
        errors=errors.total(),
        short_requests=sum(exchange.tokens < load.tokens * load.choices for exchange in good),
        prompt_tokens=percentile([exchange.prompt_tokens for exchange in good], 0.50),
        tokens=tokens,
        seconds=seconds,
        tokens_per_second=tokens / seconds if seconds > 0 else 0.0,
        request_p50=percentile([exchange.finished - exchange.started for exchange in good], 0.50),
        first_token_p50=percentile(first_tokens, 0.50),
        first_token_p95=percentile(first_tokens, 0.95),
        between_tokens_p50=percentile(between_tokens, 0.50),
        between_tokens_p95=percentile(between_tokens, 0.95),
        accepted=sum_known([exchange.accepted for exchange in good]),
        rejected=sum_known([exchange.rejected for exchange in good]),
        client_cpu=client_cpu,
        error_counts=dict(errors),
    )


def first_token_waits(exchanges: list[Exchange]) -> list[float]:
    """Return the seconds to the first token of the exchanges that have one."""
    return [wait for exchange in exchanges if (wait := exchange.first_token_wait) is not None]


def sum_known(counts: list[int | None]) -> int | None:
    """Return the sum of the counts that are not None, or None without any."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
