"""Dialects of the API, and the dialect of a request and its answer."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from pydantic_core import from_json, to_json

from ponant.api.chat import CompletionChunk
from ponant.completion.calls import CallStyle
from ponant.server.dialects.table import Table

Json = dict[str, Any]

EXCHANGE = "exchange"
"""Key of a request's exchange in its scope."""


class Answers:
    """Writer of the answer to one request, in the Mistral API's format.

    Attributes:
        media_type: media type of streams.
        keep_alive: bytes that keep an idle stream open and that clients ignore.
        end: bytes after the last event of a whole stream.
    """

    media_type = "text/event-stream; charset=utf-8"
    keep_alive = b": keep-alive\n\n"
    end = b"data: [DONE]\n\n"

    def framed(self, event: bytes) -> bytes:
        """Return the bytes of an event in a stream, given its JSON."""
        return b"data: " + event + b"\n\n"

    def whole(self, status: int, body: bytes) -> tuple[int, bytes]:
        """Return the status and JSON of a whole answer, given those of the Mistral API."""
        return status, body

    def events(self, chunk: CompletionChunk) -> Iterable[bytes]:
        """Return the JSON of the events of a chunk."""
        return (chunk.model_dump_json(exclude_unset=True).encode(),)

    @property
    def running_usage(self) -> bool:
        """True if every chunk of a stream has the usage so far."""
        return False

    def ending(self) -> Iterable[bytes]:
        """Return the JSON of the events at the end of a complete stream."""
        return ()

    def error_event(self, status: int, error: Json) -> bytes:
        """Return the JSON of the event of an error, whose HTTP status would have been ``status``.

        The error object is repeated under ``error``, where OpenAI's clients look for it.
        """
        return json.dumps({**error, "error": error}).encode()


class TranslatedAnswers(Answers):
    """Writer of answers that are translated from those of the Mistral API."""

    def whole(self, status: int, body: bytes) -> tuple[int, bytes]:
        """Return the translated status and JSON. A body that is not an object is not translated."""
        content = from_json(body, cache_strings="keys")
        if not isinstance(content, dict):
            return status, body
        if status >= 400:
            status, content = self.error(status, content)
            return status, to_json(content)
        return status, to_json(self.response(content))

    def events(self, chunk: CompletionChunk) -> Iterable[bytes]:
        """Return the JSON of the translated events of a chunk."""
        return [to_json(event) for event in self.chunk(chunk.model_dump(exclude_unset=True))]

    def response(self, response: Json) -> Json:
        """Return the translation of a whole answer."""
        return response

    def chunk(self, chunk: Json) -> Iterable[Json]:
        """Return the translated events of a chunk."""
        return (chunk,)

    def error(self, status: int, body: Json) -> tuple[int, Json]:
        """Return the translated status and body of an error."""
        return status, body


@dataclass(frozen=True, slots=True)
class Dialect:
    """A variant of the API: fields of requests, and format of answers.

    Attributes:
        name: name in the settings.
        tables: tables of the request's fields, by path. Bodies of other paths are the Mistral API's.
        answers: creates the writer of an answer; None for the Mistral API's answers.
        calls: form of calls in streams; None for that of the settings.
        any_order: True if a conversation may begin and end with a message of any role.
        paths: the dialect's own paths, and the paths of the Mistral API that answer them. ``{id}`` stands for a part of
            a path.
    """

    name: str
    tables: Mapping[str, Table]
    answers: "Callable[[DialectExchange], Answers] | None" = None
    calls: CallStyle | None = None
    any_order: bool = False
    paths: Mapping[str, str] = field(default_factory=dict[str, str])

    def served_path(self, path: str) -> str | None:
        """Return the path of the Mistral API that answers one of the dialect's own paths; None for any other path."""
        for own, served in self.paths.items():
            if match := _pattern(own).fullmatch(path):
                return served.replace("{id}", match[1]) if match.groups() else served
        return None


@cache
def _pattern(own: str) -> re.Pattern[str]:
    return re.compile(own.replace("{id}", "([^/]+)"))


MISTRAL = Dialect("mistral", {})


@dataclass
class DialectExchange:
    """The dialect of a request and its answer.

    Attributes:
        path: path of the request, without the prefix of a dialect.
        dialect: their dialect.
        body_tells: another dialect, used if the body has a field that only that dialect has.
        fingerprint: fingerprint of the server.
        query: query of the request.
        body: body as sent; empty before ``read``.
        sources: for each field of the translated body, the field of the sent body that it comes from.
        is_written: True if the route has written the answer in the dialect.
    """

    path: str = ""
    dialect: Dialect = MISTRAL
    body_tells: Dialect | None = None
    fingerprint: str = ""
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Json = field(default_factory=dict[str, Any])
    sources: dict[str, str] = field(default_factory=dict[str, str])
    is_written: bool = False

    @property
    def served_path(self) -> str:
        """Path of the Mistral API that answers the request."""
        return self.dialect.served_path(self.path) or self.path

    def read(self, body: Any) -> Any:
        """Return the body of the request, translated to the Mistral API.

        Raises:
            RefusedFieldError: a field is refused.
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
        """Return the location in the sent body of one in the translated body, such as ``("body", "random_seed")``.

        Steps that the translation added are left out, except for the last one, which may be a missing field.
        """
        whole, *steps = location
        if not steps or self.sources.get(str(steps[0]), steps[0]) == steps[0]:
            return [whole, *steps]
        source = self.sources[str(steps[0])]
        found: list[str | int] = [source]
        value: Any = self.body.get(source)
        for step in steps[1:]:
            is_missing = isinstance(value, dict) and step == steps[-1]
            try:
                value = value[step]
            except (LookupError, TypeError):
                if not is_missing:
                    continue
            found.append(step)
        return [whole, *found]

    def param_as_sent(self, param: str) -> str:
        """Return the place in the sent body of one in the translated body, such as ``tools[0].function.name``."""
        steps = [int(step) if step.isdecimal() else step for step in re.findall(r"[^.\[\]]+", param)]
        if self.sources.get(str(steps[0]), steps[0]) == steps[0]:
            return param
        _, *found = self.as_sent(["body", *steps])
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in found).removeprefix(".")

    def text_as_sent(self, text: str) -> str:
        """Return a message in which renamed fields have the names that were sent."""
        for name, source in self.sources.items():
            if "_" in name and name != source:
                text = re.sub(rf"(?<![\w'\"]){name}(?![\w'\"])", source, text)
        return text

    def sent_without(self, location: Sequence[str | int]) -> Any:
        """Return the value of the sent body that lacks the field at a location of the sent body; None if unknown."""
        value: Any = self.body
        try:
            for step in location[1:-1]:
                value = value[step]
        except (LookupError, TypeError):
            return None
        return value

    @cached_property
    def answers(self) -> Answers:
        """Writer of the answer. The body must be read first."""
        return self.dialect.answers(self) if self.dialect.answers else Answers()

    def release(self) -> list[object]:
        """Return what holds the body, so that the list alone keeps it: the answer has ended.

        The writer of the answer and the exchange refer to each other, and an idle connection keeps the exchange.
        """
        held = [self.body, self.__dict__.pop("answers", None)]
        self.body = {}
        return held


def exchange_of(scope: MutableMapping[str, Any]) -> DialectExchange:
    """Return the dialect of a request."""
    found = scope.get(EXCHANGE)
    return found if isinstance(found, DialectExchange) else DialectExchange()
