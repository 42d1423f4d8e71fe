"""Rules for every request: bounds of time, memory, errors and replies, and documented statuses."""

from collections.abc import Iterator
from dataclasses import dataclass

from hostile.findings import Finding
from hostile.http_client import Reply
from hostile.measured_server import Measurement
from hostile.requests import Request

WORST_TURN = 0.05
"""Most processor time of the loop's thread between two polls, in seconds."""
MEMORY, MEMORY_PER_BYTE = 64 * 2**20, 8
"""Most additional memory: a part for any request, and a part for each byte of its body."""
MOST_ERRORS = 20
LARGEST_ERROR = 18_000
"""Most bytes of a reply with an error: 16 kB of reasons, and their frame."""
MOST_VALUES = 1_000_000
"""Most JSON values that a body may be parsed into, the default of ``max_json_values``."""
_UNAVAILABLE = (503, 507)


def is_failure(status: int) -> bool:
    """Return True for a status of 500 or above, except 503 and 507."""
    return status >= 500 and status not in _UNAVAILABLE


def failures(request: Request, reply: Reply) -> Iterator[Finding]:
    """Yield a missing reply, or one with the status of a failure."""
    if reply.status == 0:
        yield Finding("no answer", request.name, reply.beginning.decode(errors="replace"))
    elif is_failure(reply.status):
        yield Finding("5xx", request.name, f"{reply.status} {reply.beginning[:200]!r}")


@dataclass(frozen=True)
class Answered:
    """A request with its reply and the measurements.

    Attributes:
        request: the request.
        reply: the reply.
        measured: counts and memory of the server.
        before: memory of the server before the request, in bytes.
    """

    request: Request
    reply: Reply
    measured: Measurement
    before: int

    @property
    def growth(self) -> int:
        """Peak of the additional memory in bytes."""
        return max(0, self.measured.peak - self.before)


def violations(answered: Answered, *, with_times: bool) -> Iterator[Finding]:
    """Yield the violated rules. Times are judged only on a quiet machine."""
    request, reply, counts = answered.request, answered.reply, answered.measured.counts
    failed = list(failures(request, reply))
    yield from failed
    if not failed and request.statuses and reply.status not in request.statuses:
        yield Finding("undocumented status", request.name, f"{reply.status}, documented: {sorted(request.statuses)}")
    if reply.status >= 400 and reply.size > LARGEST_ERROR:
        yield Finding("large error", request.name, f"{reply.size} bytes of at most {LARGEST_ERROR}")
    if counts.most_errors > MOST_ERRORS:
        yield Finding("errors built", request.name, f"{counts.most_errors} of at most {MOST_ERRORS}")
    if counts.most_values > MOST_VALUES:
        yield Finding("values parsed", request.name, f"{counts.most_values} of at most {MOST_VALUES}")
    allowed = MEMORY + MEMORY_PER_BYTE * len(request.body)
    if answered.growth > allowed:
        yield Finding("memory", request.name, f"{answered.growth / 2**20:.0f} MB of at most {allowed / 2**20:.0f} MB")
    if with_times and counts.worst_turn > WORST_TURN:
        detail = f"{1000 * counts.worst_turn:.0f} ms for {len(request.body)} bytes, at most {1000 * WORST_TURN:.0f} ms"
        yield Finding("standstill", request.name, detail)
