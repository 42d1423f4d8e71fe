"""The last requests, and totals of all requests since the start."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from starlette.types import Scope

from ponant.server.dialects.base import exchange_of
from ponant.server.request_record import RequestRecord

MOST_REQUESTS = 50
"""Number of requests that are kept."""
_API = "/v1/"
_DOWNLOAD = "/content"


@dataclass(slots=True)
class ModelTotals:
    """Totals of a model since the start of the server."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


class RecentRequests:
    """The last requests that computed, changed or downloaded something, and totals by model id.

    Requests that only read lists and states are left out, as pages send them all the time, and so are requests that
    no route has accepted, which anyone can send.
    """

    def __init__(self) -> None:
        self._last: deque[RequestRecord] = deque(maxlen=MOST_REQUESTS)
        self._totals: dict[str, ModelTotals] = {}

    @property
    def last(self) -> list[RequestRecord]:
        """The last requests, the newest first."""
        return list(reversed(self._last))

    def totals_of(self, model_id: str) -> ModelTotals:
        """Return the totals of a model."""
        return self._totals.get(model_id) or ModelTotals()

    def add(self, record: RequestRecord, scope: Scope) -> None:
        """Add a request at its end, if it is one to keep."""
        route: Any = scope.get("route")
        record.route = getattr(route, "path", "")
        if not record.route.startswith(_API) or (record.method == "GET" and not record.route.endswith(_DOWNLOAD)):
            return
        record.dialect = exchange_of(scope).dialect.name
        self._last.append(record)
        if figures := record.figures:
            totals = self._totals.setdefault(figures.model, ModelTotals())
            totals.requests += 1
            totals.prompt_tokens += figures.prompt_tokens
            totals.cached_tokens += figures.cached_tokens
            totals.completion_tokens += figures.completion_tokens
