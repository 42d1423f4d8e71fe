"""JSON documents that satisfy a schema: the schema, the check, and the scenario that times them against free texts."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import count
from statistics import median
from typing import Any

from benchmarks.exchange import Exchange, Message, Request, Target, send
from benchmarks.loads import first_token_waits
from benchmarks.report import percentile
from benchmarks.scenarios import Outcome
from benchmarks.servers import Running
from benchmarks.texts import SUBJECTS

MOST_TOKENS = 700
"""More tokens than any document has."""
USUAL_TOKENS = 250
"""The length of a free text if its document failed."""

PROPERTIES: dict[str, object] = {
    "first_name": {"type": "string", "minLength": 1, "maxLength": 20},
    "last_name": {"type": "string", "minLength": 1, "maxLength": 20},
    "title": {"enum": ["none", "Dr", "Prof"]},
    "age": {"type": "integer", "minimum": 18, "maximum": 99},
    "street": {"type": "string", "minLength": 1, "maxLength": 30},
    "house_number": {"type": "integer", "minimum": 1, "maximum": 999},
    "postal_code": {"type": "string", "minLength": 4, "maxLength": 8},
    "city": {"type": "string", "minLength": 1, "maxLength": 20},
    "country": {"enum": ["Austria", "Denmark", "France", "Germany", "Italy", "Portugal", "Spain"]},
    "email_address": {"type": "string", "minLength": 5, "maxLength": 30},
    "phone_number": {"type": "string", "minLength": 5, "maxLength": 15},
    "occupation": {"type": "string", "minLength": 1, "maxLength": 30},
    "years_employed": {"type": "integer", "minimum": 0, "maximum": 60},
    "marital_status": {"enum": ["single", "married", "divorced", "widowed"]},
    "number_of_children": {"type": "integer", "minimum": 0, "maximum": 12},
    "preferred_contact": {"enum": ["email", "phone", "post"]},
    "owns_a_car": {"type": "boolean"},
    "wants_newsletter": {"type": "boolean"},
    "accepts_the_terms": {"type": "boolean"},
    "remarks": {"type": "string", "maxLength": 60},
}
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": PROPERTIES,
    "additionalProperties": False,
    "required": list(PROPERTIES),
}

EXAMPLE = {
    "first_name": "Helena",
    "last_name": "Marques",
    "title": "Dr",
    "age": 46,
    "street": "Rua das Flores",
    "house_number": 112,
    "postal_code": "4050-262",
    "city": "Porto",
    "country": "Portugal",
    "email_address": "helena.marques@example.org",
    "phone_number": "+351 220 123456",
    "occupation": "lighthouse engineer",
    "years_employed": 19,
    "marital_status": "married",
    "number_of_children": 2,
    "preferred_contact": "phone",
    "owns_a_car": False,
    "wants_newsletter": True,
    "accepts_the_terms": True,
    "remarks": "Can be reached in the evening only.",
}
"""A document that satisfies the schema."""

_VALIDATES = find_spec("jsonschema") is not None
CHECK = "validated with jsonschema" if _VALIDATES else "parsed but not validated, as jsonschema is not installed"
"""The check of every document, for reports."""


def problem(text: str, schema: Mapping[str, Any]) -> str | None:
    """Return the reason why a text is not a JSON object that satisfies a schema, or None if it is one.

    The schema is checked if jsonschema is installed.

    Examples:
        >>> problem('{"age": 3}', {"type": "object"}), problem("[1", {"type": "object"})
        (None, 'not JSON')
    """
    try:
        document = json.loads(text)
    except ValueError:
        return "not JSON"
    if not isinstance(document, dict):
        return "no object"
    return violation(document, schema) if _VALIDATES else None


def violation(document: object, schema: Mapping[str, Any]) -> str | None:
    """Return the path at which a document violates a schema, or None."""
    import jsonschema  # only in the dev extra

    try:
        jsonschema.validate(document, schema)
    except jsonschema.ValidationError as error:
        return f"{error.json_path} does not satisfy the schema"
    return None


def document_request(number: int) -> Request:
    """Return the request for a document."""
    return Request(messages(number), tokens=MOST_TOKENS, temperature=0.7, exact=False, schema=SCHEMA)


def text_request(number: int, tokens: int) -> Request:
    """Return the request for a free text of `tokens` tokens about the same kind of person."""
    return Request(messages(number), tokens=tokens, temperature=0.7)


def messages(number: int) -> tuple[Message, ...]:
    """Return the user's message, which differs among some hundred requests."""
    age, place = divmod(number, len(SUBJECTS))
    return (Message("user", f"Describe an invented person of {20 + age} who lives for {SUBJECTS[place]}."),)


@dataclass(frozen=True, slots=True)
class Batch:
    """The exchanges of requests that ran at once, one per client."""

    exchanges: list[Exchange]

    @property
    def tokens(self) -> int:
        """The tokens of all answers."""
        return sum(exchange.tokens for exchange in self.exchanges)

    @property
    def seconds(self) -> float:
        """The time from the first request to the end of the last answer."""
        started = min(exchange.started for exchange in self.exchanges)
        return max(exchange.finished for exchange in self.exchanges) - started


@dataclass(frozen=True, slots=True)
class Documents:
    """Clients have documents written, then free texts of the same lengths, in alternating order.

    Attributes:
        clients: Requests that run at once.
        pairs: Repetitions of both.
        first_number: Number of the first request.
    """

    clients: int
    pairs: int
    first_number: int = 0

    @property
    def name(self) -> str:
        """The number of clients."""
        return f"{self.clients} client{'s' if self.clients > 1 else ''}"

    async def run(self, server: Running) -> Outcome:
        """Have all documents and texts written."""
        numbers = count(self.first_number)
        lengths = [USUAL_TOKENS] * self.clients
        outcome = Outcome()
        documents: list[Batch] = []
        texts: list[Batch] = []
        for pair in range(self.pairs):
            for with_schema in (True, False) if pair % 2 == 0 else (False, True):
                if with_schema:
                    documents.append(await self.write_documents(server.target, numbers))
                    lengths = [exchange.tokens or USUAL_TOKENS for exchange in documents[-1].exchanges]
                else:
                    texts.append(await self.write_texts(server.target, numbers, lengths))
        for batch in (*documents, *texts):
            outcome.count(*batch.exchanges)
        if not outcome.failures:
            add_figures(outcome, documents, texts)
        count_faults(outcome, documents, texts)
        return outcome

    async def write_documents(self, target: Target, numbers: Iterator[int]) -> Batch:
        """Have a document written for each client, after a request for one token.

        That request compiles the grammar and puts the schema, which Ponant adds to the prompt, into the prefix cache.
        """
        await send(target, replace(document_request(next(numbers)), tokens=1))
        return await send_at_once(target, [document_request(next(numbers)) for _ in range(self.clients)])

    async def write_texts(self, target: Target, numbers: Iterator[int], lengths: list[int]) -> Batch:
        """Have a text of each length written, after a request for one token."""
        await send(target, text_request(next(numbers), tokens=1))
        return await send_at_once(target, [text_request(next(numbers), length) for length in lengths])


async def send_at_once(target: Target, requests: list[Request]) -> Batch:
    """Send requests and wait for all answers."""
    return Batch(list(await asyncio.gather(*(send(target, request) for request in requests))))


def add_figures(outcome: Outcome, documents: list[Batch], texts: list[Batch]) -> None:
    """Add the speed of both kinds, over the sums of the batches' tokens and seconds."""
    rates = [sum(batch.tokens for batch in kind) / sum(batch.seconds for batch in kind) for kind in (documents, texts)]
    outcome.add("with the schema, tokens/s", rates[0])
    outcome.add("free text, tokens/s", rates[1])
    outcome.add("with the schema / free text", rates[0] / rates[1])
    for title, kind in (("with the schema", documents), ("free text", texts)):
        exchanges = [exchange for batch in kind for exchange in batch.exchanges]
        outcome.add(f"{title}, prompt tokens", median(exchange.prompt_tokens for exchange in exchanges))
        outcome.add(f"{title}, tokens", median(exchange.tokens for exchange in exchanges))
        outcome.add(f"{title}, tokens per event", tokens_per_event(exchanges))
        outcome.add(f"{title}, first token p50, ms", percentile(first_token_waits(exchanges), 0.50), 1000)


def tokens_per_event(exchanges: list[Exchange]) -> float | None:
    """Return the tokens per event. Ponant sends forced tokens in one event with the drawn token before them."""
    events = sum(len(times) for exchange in exchanges for times in exchange.token_times.values())
    return sum(exchange.tokens for exchange in exchanges) / events if events else None


def count_faults(outcome: Outcome, documents: list[Batch], texts: list[Batch]) -> None:
    """Count documents that do not satisfy the schema, and texts that are too short to compare."""
    for exchange in (exchange for batch in documents for exchange in batch.exchanges if exchange.error is None):
        fault = problem(exchange.text, SCHEMA)
        if fault is not None:
            outcome.failures[f"a document is invalid: {fault} (finished by {exchange.finish})"] += 1
    short = sum(exchange.finish == "stop" for batch in texts for exchange in batch.exchanges)
    if short:
        outcome.failures["a free text is too short"] += short
