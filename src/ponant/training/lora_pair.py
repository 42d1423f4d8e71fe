"""Pairs of matrices by which LoRA changes weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.training.errors import ExportError

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LoraPair:
    """A change of ``scale`` · B · A to a weight. ``a``: shape (rank, inputs); ``b``: shape (outputs, rank)."""

    a: Array
    b: Array
    scale: float


def check_shapes(pairs: dict[str, LoraPair], reader: Any) -> None:
    """Raise ExportError unless the model has all changed weights, in the shapes of the pairs."""
    shapes = {tensor.name: tuple(tensor.shape.tolist()) for tensor in reader.tensors}
    for name, pair in pairs.items():
        changed = pair.a.shape[1], pair.b.shape[0]
        if shapes.get(name) != changed:
            raise ExportError(
                f"the adapter changes a {name} of {changed[0]} inputs and {changed[1]} outputs, which this model does "
                "not have; is it the one that the adapter was trained on?"
            )
