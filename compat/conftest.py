"""What the tests of all clients for Python have: a mark for those that pass or fail by what the model says."""

from collections.abc import Sequence

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", "by_the_model(why): may pass or fail, as this depends on what the model says")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Let those tests fail, and tell the report of it."""
    for item in items:
        if mark := item.get_closest_marker("by_the_model"):
            item.add_marker(pytest.mark.xfail(reason=mark.args[0]))
            item.user_properties.append(("by the model", mark.args[0]))
