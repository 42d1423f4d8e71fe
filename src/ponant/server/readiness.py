"""Readiness of the server."""

from collections.abc import Callable
from typing import Literal

from ponant.catalog.catalog import Catalog
from ponant.catalog.served import ServedModel
from ponant.private_files import without_folders

ServerState = Literal["ready", "not ready", "stopping"]

_ANSWERING = ("ready", "loading", "unloaded")
"""States of models that accept requests, at once or after loading."""


def readiness(catalog: Catalog, stopping: Callable[[], bool]) -> ServerState:
    """Return the state of a server.

    Args:
        catalog: its models.
        stopping: returns True while it shuts down.
    """
    if stopping():
        return "stopping"
    is_ready = catalog.is_open and all(model.state in _ANSWERING for model in catalog.models)
    return "ready" if is_ready else "not ready"


def trouble_of(model: ServedModel) -> str | None:
    """Return the reason why a model is not ready, without the server's folders; None if it is ready."""
    return without_folders(model.error) if model.error and model.state != "ready" else None
