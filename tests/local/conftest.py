"""Clients shared with the tests of the client."""

from tests.client.conftest import in_process, over_http

__all__ = ["in_process", "over_http"]
