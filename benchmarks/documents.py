"""A scenario of structured output: documents that satisfy a schema beside free texts of the same length."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from statistics import median

from benchmarks.dialects import Request
from benchmarks.exchange import Exchange, Target, send
from benchmarks.forms import SCHEMA, document_request, text_request
from benchmarks.measure import percentile
from benchmarks.scenario import Outcome, Session
from benchmarks.validity import problem

USUAL_TOKENS = 250
"""The length of a free text where no document tells it, because it failed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests that ran at once, one from each client."""

    exchanges: list[Exchange]

    @property
    def tokens(self) -> int:
        """All tokens of the answers."""
        return sum(exchange.tokens for exchange in self.exchanges)

    @property
    def seconds(self) -> float:
        """From sending the first request to the end of the last answer."""
        started = min(exchange.started for exchange in self.exchanges)
        return max(exchange.finished for exchange in self.exchanges) - started


@dataclass(frozen=True, slots=True)
class Documents:
    """Clients have documents written, then free texts of the same lengths, and again in the other order.

    Attributes:
        clients: How many requests run at once.
        pairs: How many times both are done.
        first_number: Where the numbers of the requests begin.
    """

    clients: int
    pairs: int
    first_number: int = 0

    @property
    def name(self) -> str:
        """How many clients there are."""
        return f"{self.clients} client{'s' if self.clients > 1 else ''}"

    async def run(self, session: Session) -> Outcome:
        """Write so many pairs."""
        numbers = count(self.first_number)
        lengths = [USUAL_TOKENS] * self.clients
        outcome = Outcome()
        documents: list[Sample] = []
        texts: list[Sample] = []
        for pair in range(self.pairs):
            for with_schema in (True, False) if pair % 2 == 0 else (False, True):
                if with_schema:
                    documents.append(await self.write_documents(session.target, numbers))
                    lengths = [exchange.tokens or USUAL_TOKENS for exchange in documents[-1].exchanges]
                else:
                    texts.append(await self.write_texts(session.target, numbers, lengths))
        for sample in (*documents, *texts):
            outcome.count(*sample.exchanges)
        if not outcome.failures:
            add_figures(outcome, documents, texts)
        count_faults(outcome, documents, texts)
        return outcome

    async def write_documents(self, target: Target, numbers: Iterator[int]) -> Sample:
        """Have a document written for each client, after the beginning of one that does not count.

        That one has the grammar compiled, and the schema that Ponant adds to the prompt is in the cache after it.
        """
        await send(target, replace(document_request(next(numbers)), tokens=1))
        return await send_at_once(target, [document_request(next(numbers)) for _ in range(self.clients)])

    async def write_texts(self, target: Target, numbers: Iterator[int], lengths: list[int]) -> Sample:
        """Have a text of each of the lengths written, after the beginning of one that does not count."""
        await send(target, text_request(next(numbers), tokens=1))
        return await send_at_once(target, [text_request(next(numbers), length) for length in lengths])


async def send_at_once(target: Target, requests: list[Request]) -> Sample:
    """Send requests and wait for all answers."""
    return Sample(list(await asyncio.gather(*(send(target, request) for request in requests))))


def add_figures(outcome: Outcome, documents: list[Sample], texts: list[Sample]) -> None:
    """Note how fast both were. Sums over the samples, so that a long one counts more than a short one."""
    rates = [
        sum(sample.tokens for sample in kind) / sum(sample.seconds for sample in kind) for kind in (documents, texts)
    ]
    outcome.add("with the schema, tokens/s", rates[0])
    outcome.add("free text, tokens/s", rates[1])
    outcome.add("with the schema / free text", rates[0] / rates[1])
    for title, kind in (("with the schema", documents), ("free text", texts)):
        exchanges = [exchange for sample in kind for exchange in sample.exchanges]
        waits = [exchange.first_token - exchange.started for exchange in exchanges if exchange.first_token is not None]
        outcome.add(f"{title}, prompt tokens", median(exchange.prompt_tokens for exchange in exchanges))
        outcome.add(f"{title}, tokens", median(exchange.tokens for exchange in exchanges))
        outcome.add(f"{title}, tokens per event", tokens_per_event(exchanges))
        outcome.add(f"{title}, first token p50, ms", percentile(waits, 0.50), 1000)


def tokens_per_event(exchanges: list[Exchange]) -> float | None:
    """Return how many tokens an event has. Ponant sends forced ones along with the drawn token before them."""
    events = sum(len(times) for exchange in exchanges for times in exchange.token_times.values())
    return sum(exchange.tokens for exchange in exchanges) / events if events else None


def count_faults(outcome: Outcome, documents: list[Sample], texts: list[Sample]) -> None:
    """Count documents that do not satisfy the schema, and texts that are too short to compare."""
    for exchange in (exchange for sample in documents for exchange in sample.exchanges if exchange.error is None):
        fault = problem("".join(exchange.text), SCHEMA)
        if fault is not None:
            outcome.failures[f"a document is invalid: {fault} (finished by {exchange.finish})"] += 1
    short = sum(exchange.finish == "stop" for sample in texts for exchange in sample.exchanges)
    if short:
        outcome.failures["a free text is too short"] += short
