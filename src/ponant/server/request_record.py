"""The record of a request, in its ASGI scope: what was asked and how it ended, without its texts."""

import contextlib
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from ponant.completion.answer import Answer
from ponant.completion.figures import AnswerFigures

_RECORD = "record"
_LONGEST_NAME = 200
"""Most characters of a model's name that are kept."""


@dataclass(slots=True)
class RequestRecord:
    """A request to the API.

    Attributes:
        id: id of the request.
        method: HTTP method.
        created: time of its arrival, in seconds since the epoch.
        began: the same, in seconds of ``time.monotonic``.
        route: path of the Mistral API, with the names of its parameters in place of their values.
        dialect: name of the API's dialect.
        model: name of the model in the request; None for the default one.
        streamed: True for an answer as a stream.
        choices: number of choices.
        schema: True if the answer must be JSON.
        tools: number of tools.
        figures: figures of the answer; None if none was started.
        status: HTTP status; for a stream that failed, the status of its error.
        seconds: seconds until the end of the response.
    """

    id: str
    method: str
    created: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    route: str = ""
    dialect: str = ""
    model: str | None = None
    streamed: bool = False
    choices: int = 1
    schema: bool = False
    tools: int = 0
    figures: AnswerFigures | None = None
    status: int = 0
    seconds: float = 0.0

    def describe(
        self,
        model: str | None,
        *,
        stream: bool | None = None,
        choices: int | None = None,
        schema: bool = False,
        tools: int = 0,
    ) -> None:
        """Set what the body asks for. Arguments as the attributes; None for the default."""
        self.model = model[:_LONGEST_NAME] if model else None
        self.streamed = bool(stream)
        self.choices = choices or 1
        self.schema = schema
        self.tools = tools

    @contextlib.contextmanager
    def counting(self, answer: Answer) -> Iterator[None]:
        """Take the figures of an answer at the end of the block, also when it fails."""
        try:
            yield
        finally:
            self.figures = answer.figures


def set_record(scope: MutableMapping[str, Any], record: RequestRecord) -> None:
    """Set the record of a request."""
    scope[_RECORD] = record


def record_of(scope: MutableMapping[str, Any]) -> RequestRecord:
    """Return the record of a request."""
    record: RequestRecord = scope[_RECORD]
    return record
