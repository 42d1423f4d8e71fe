"""Public helpers of the Python client: retries, streams and ``UNSET``."""

from ponant.client import event_stream as eventstreaming
from ponant.client import retries
from ponant.client.event_stream import EventStream, EventStreamAsync
from ponant.client.retries import BackoffStrategy, RetryConfig
from ponant.client.unset import UNSET, OptionalNullable, Unset

__all__ = [
    "UNSET",
    "BackoffStrategy",
    "EventStream",
    "EventStreamAsync",
    "OptionalNullable",
    "RetryConfig",
    "Unset",
    "eventstreaming",
    "retries",
]
