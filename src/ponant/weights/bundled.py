"""The models that Python packages bundle."""

from pathlib import Path

from ponant.engine.embed.e5_weights import weights_file
from ponant.errors import missing_extra
from ponant.weights.errors import ModelNotFoundError

BUNDLED = "smollm2"
"""Name of the model that the extra ``smollm2`` installs."""
BUNDLED_EMBEDDER = "multilingual-e5-small"
"""Name of the model that the extra ``embed`` installs."""


def has_bundled_embedder() -> bool:
    """Return True if the bundled embedding model is installed."""
    return weights_file() is not None


def locate_bundled_embedder() -> Path:
    """Return the weights of the bundled embedding model. Raises ModelNotFoundError."""
    weights = weights_file()
    if weights is None:
        raise ModelNotFoundError(f"the bundled embedding model is not installed: {missing_extra('embed')}")
    return weights
