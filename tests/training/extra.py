"""Skips of tests that need the extra for training."""

from importlib.util import find_spec

import pytest

from ponant.training.support import missing_package


def skip_without_training(*more: str) -> None:
    """Skip a module or a test without the extra, without importing it: every test process loads every module."""
    if missing_package() or not all(map(find_spec, more)):
        pytest.skip("an extra for training is not installed", allow_module_level=True)
