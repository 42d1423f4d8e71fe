"""The pair of matrices by which LoRA changes a weight."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.training.errors import ExportError

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The matrices by whose product, times ``scale``, a weight changes: A (rank, inputs) and B (outputs, rank)."""

    a: Array
    b: Array
    scale: float


def check_shapes(pairs: dict[str, LoraPair], reader: Any) -> None:
    """Raise ExportError unless the model has the weights of all pairs, in their shapes."""
    shapes = {tensor.name: tuple(tensor.shape.tolist()) for tensor in reader.tensors}
    for name, pair in pairs.items():
        changed = pair.a.shape[1], pair.b.shape[0]
        if shapes.get(name) != changed:
            raise ExportError(
                f"the adapter changes a {name} of {changed[0]} inputs and {changed[1]} outputs, which this model does "
                "not have; is it the one that the adapter was trained on?"
            )
