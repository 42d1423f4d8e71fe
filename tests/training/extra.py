"""Whether there is what training needs."""

from importlib.util import find_spec

import pytest

from ponant.training.support import missing_package


def skip_without_training(*more: str) -> None:
    """Skip a module or a test. Nothing is imported: every process of a run reads all modules, and PyTorch is slow."""
    if missing_package() or not all(map(find_spec, more)):
        pytest.skip("an extra for training is not installed", allow_module_level=True)
