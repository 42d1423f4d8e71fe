"""Skips of tests that need the extra for training."""

from importlib.util import find_spec

from ponant.training.support import missing_package
from tests.missing import skip_or_fail


def skip_without_training(*more: str) -> None:
    """Skip a module or a test without the extra, without importing it: every test process loads every module."""
    if missing_package() or not all(map(find_spec, more)):
        skip_or_fail("an extra for training is not installed", whole_module=True)
