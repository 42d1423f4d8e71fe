"""What a dialect is, and which one a request and its answer are written in."""

import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic_core import from_json, to_json

from ponant.api.chat import CompletionChunk
from ponant.completion.calls import CallStyle
from ponant.server.dialects.table import Table

Json = dict[str, Any]


class Answers:
    """How the answer to one request is written: here, as the Mistral API has it."""

    def whole(self, status: int, body: bytes) -> tuple[int, bytes]:
        """The status and JSON of an answer that is not streamed, given those of the Mistral API."""
        return status, body

    def events(self, chunk: CompletionChunk) -> Iterable[bytes]:
        """The JSON of the events by which a stream sends a chunk."""
        return (chunk.model_dump_json(exclude_unset=True).encode(),)

    def error_event(self, status: int, error: Json) -> bytes:
        """The JSON of the event by which a stream reports an error; ``status`` is what it would have been.

        The error object is also repeated under ``error``, which is where OpenAI's clients look for it.
        """
        return json.dumps({**error, "error": error}).encode()


class TranslatedAnswers(Answers):
    """Answers that are made from those of the Mistral API."""

    def whole(self, status: int, body: bytes) -> tuple[int, bytes]:
        """As for ``Answers``; a body that is no object stays as it is."""
        content = from_json(body)
        if not isinstance(content, dict):
            return status, body
        if status >= 400:
            status, content = self.error(status, content)
            return status, to_json(content)
        return status, to_json(self.response(content))

    def events(self, chunk: CompletionChunk) -> Iterable[bytes]:
        """As for ``Answers``."""
        return [to_json(event) for event in self.chunk(chunk.model_dump(exclude_unset=True))]

    def response(self, response: Json) -> Json:
        """An answer that is not streamed."""
        return response

    def chunk(self, chunk: Json) -> Iterable[Json]:
        """The events of a stream's chunk."""
        return (chunk,)

    def error(self, status: int, body: Json) -> tuple[int, Json]:
        """An error."""
        return status, body


@dataclass(frozen=True, slots=True)
class Dialect:
    """A spelling of requests and answers.

    Attributes:
        name: what the settings call it.
        tables: what becomes of requests, by path; bodies of other paths are the Mistral API's.
        answers: makes the writer of the answer to a request. None: answers are the Mistral API's.
        calls: form of calls in streams; None for the one that the settings choose.
    """

    name: str
    tables: Mapping[str, Table]
    answers: "Callable[[DialectExchange], Answers] | None" = None
    calls: CallStyle | None = None


MISTRAL = Dialect("mistral", {})


@dataclass
class DialectExchange:
    """A request and its answer.

    Attributes:
        path: of the request, as the Mistral API has it.
        dialect: what they are written in.
        body_tells: another dialect that they are written in if the body has a field of its own.
        body: as it was sent, once it has been read.
        sources: which field of the body each field of the translated one comes from.
    """

    path: str = ""
    dialect: Dialect = MISTRAL
    body_tells: Dialect | None = None
    body: Json = field(default_factory=dict[str, Any])
    sources: dict[str, str] = field(default_factory=dict[str, str])

    def read(self, body: Any) -> Any:
        """The body of the request as the Mistral API has it.

        Raises:
            RefusedFieldError: a field of it is refused.
        """
        if not isinstance(body, dict):
            return body
        if self.body_tells:
            known = self.body_tells.tables.get(self.path)
            if known and known.own & body.keys():
                self.dialect = self.body_tells
        self.body = body
        table = self.dialect.tables.get(self.path)
        if table is None:
            return body
        translation = table.read(body)
        self.sources = translation.sources
        return translation.fields

    def as_sent(self, location: Sequence[str | int]) -> list[str | int]:
        """A place in the translated body, such as ``("body", "random_seed")``, as it is called in the one sent."""
        whole, *steps = location
        return [
            whole,
            *(self.sources.get(step, step) if isinstance(step, str) else step for step in steps[:1]),
            *steps[1:],
        ]

    @cached_property
    def answers(self) -> Answers:
        """How the answer is written; not to be asked before the body has been read."""
        return self.dialect.answers(self) if self.dialect.answers else Answers()


def exchange_of(scope: MutableMapping[str, Any]) -> DialectExchange:
    """What was found out about a request."""
    found = scope.get("exchange")
    return found if isinstance(found, DialectExchange) else DialectExchange()
