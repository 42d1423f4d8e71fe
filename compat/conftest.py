"""The mark of tests whose result depends on the model's answer."""

from collections.abc import Sequence

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", "by_the_model(why): may pass or fail, as this depends on what the model says")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Let marked tests fail, and write the mark into the report."""
    for item in items:
        if mark := item.get_closest_marker("by_the_model"):
            item.add_marker(pytest.mark.xfail(reason=mark.args[0]))
            item.user_properties.append(("by the model", mark.args[0]))
