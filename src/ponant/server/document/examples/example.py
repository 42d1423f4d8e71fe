"""A named example of a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RequestExample:
    """A request that a server answers with 200.

    Attributes:
        name: its key in the document.
        summary: its title.
        text: its description.
        body: its JSON body, or the fields of its form. A form's file is a text.
        query: parameters of its query.
    """

    name: str
    summary: str
    text: str
    body: Mapping[str, Any]
    query: Mapping[str, str] = field(default_factory=dict[str, str])

    def described(self) -> dict[str, Any]:
        """Return the example in OpenAPI's form."""
        found: dict[str, Any] = {"summary": self.summary, "description": self.text, "value": dict(self.body)}
        return found | {"x-query": dict(self.query)} if self.query else found
