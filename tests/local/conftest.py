"""Clients that the tests of the client use, too."""

from tests.client.conftest import in_process, over_http

__all__ = ["in_process", "over_http"]
