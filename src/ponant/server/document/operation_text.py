"""The text of an operation."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ponant.server.document.examples.errors import ErrorExample
from ponant.server.document.examples.example import RequestExample
from ponant.server.document.texts.field_text import FieldTexts

EVENT_STREAM = "text/event-stream"
JSON = "application/json"
CONTENT = "application/octet-stream"
FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerExample:
    """A named example of a successful answer."""

    name: str
    summary: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationText:
    """Description of an operation.

    Attributes:
        title: its title.
        tag: name of its tag.
        text: its description, in Markdown.
        modified: date of its last change, as in the changelog.
        parameters: texts of its parameters in the path and in the query.
        requests: examples of its body; the first one is that of the samples.
        answers: examples of successful answers by media type.
        success: description of the status 200.
        statuses: errors other than those of all operations, with their examples where these are its own.
    """

    title: str
    tag: str
    text: str
    modified: datetime.date
    parameters: FieldTexts = field(default_factory=dict)
    requests: tuple[RequestExample, ...] = ()
    answers: Mapping[str, tuple[AnswerExample, ...]] = field(default_factory=dict)
    success: str
    statuses: Mapping[int, ErrorExample] = field(default_factory=dict)


def one(value: Any, media: str = JSON) -> dict[str, tuple[AnswerExample, ...]]:
    """Return the examples of an operation with one example of its answer."""
    return {media: (AnswerExample(name="answer", summary="An answer", value=value),)}
