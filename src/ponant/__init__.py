"""Ponant: the Mistral API on your own hardware."""

from typing import TYPE_CHECKING, Any

from ponant._version import __version__

if TYPE_CHECKING:
    from ponant import models, utils
    from ponant.client.sdk import Mistral
    from ponant.models import *  # noqa: F403

__all__ = ["Mistral", "__version__", "models", "utils"]


def __getattr__(name: str) -> Any:
    """Import the client and its types on first use."""
    import importlib

    if name == "Mistral":
        return importlib.import_module("ponant.client.sdk").Mistral
    if name in ("models", "utils"):
        return importlib.import_module(f"ponant.{name}")
    if name[:1].isupper():  # as Mistral's SDK, which has its types in the package, too
        models = importlib.import_module("ponant.models")
        if name in models.__all__:
            return getattr(models, name)
    raise AttributeError(f"module 'ponant' has no attribute {name!r}")
