"""Abilities of models that depend on this server."""

from ponant.catalog.served import ServedModel
from ponant.training.support import ARCHITECTURES, missing_package


def can_be_trained(model: ServedModel) -> bool:
    """Return True if fine-tuning is installed and supports the model."""
    is_trainable = model.spec.kind != "embed" and model.facts.architecture in ARCHITECTURES
    return is_trainable and model.spec.path is not None and missing_package() is None
