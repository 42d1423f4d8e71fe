"""Skips of tests without the extra for training."""

from importlib.util import find_spec

import pytest

from ponant.training.support import missing_package


def skip_without_training(*more: str) -> None:
    """Skip a module or a test without the extra. Imports nothing, as all processes load all modules."""
    if missing_package() or not all(map(find_spec, more)):
        pytest.skip("an extra for training is not installed", allow_module_level=True)
