"""Tests that need a program which is not installed: skipped on a developer's machine, failed in CI."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(reason: str, *, whole_module: bool = False) -> NoReturn:
    """Skip the test, or the module that is being imported, for a missing program. Fail it if ``CI`` is set."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI needs it")
    pytest.skip(reason, allow_module_level=whole_module)
