"""How long a run will be, before it is run."""

import math
import time
from collections.abc import Mapping

import numpy as np

from ponant.training.job import Hyperparameters
from ponant.training.packing import Packer
from ponant.training.report import TrainingPlan

_EPOCHS = 3.0
_START_SECONDS = 30
"""What loading takes, about."""
_EFFICIENCY = 0.6
"""Share of a matrix product's speed that training reaches, as measured with the bundled model on a CPU."""
_SIDE = 768


def make_plan(packer: Packer, hyperparameters: Hyperparameters, tokens_per_second: float | None = None) -> TrainingPlan:
    """The plan for samples.

    Args:
        packer: knows the samples.
        hyperparameters: say how many steps or epochs.
        tokens_per_second: how fast training is; without it nothing is said of the duration.
    """
    sequences = len(packer.epoch(0))
    per_epoch = sequences / hyperparameters.batch_size
    steps = hyperparameters.training_steps or math.ceil((hyperparameters.epochs or _EPOCHS) * per_epoch)
    per_step = hyperparameters.seq_len * hyperparameters.batch_size
    tokens = min(steps * per_step, math.ceil(steps / per_epoch * packer.data_tokens))
    seconds = None if tokens_per_second is None else round(_START_SECONDS + tokens / tokens_per_second)
    return TrainingPlan(steps, steps / per_epoch, packer.data_tokens, per_step, steps * per_step, seconds)


def estimate_speed(metadata: Mapping[str, str]) -> float | None:
    """Tokens per second that the CPU can train a model with, by its GGUF metadata and a moment of multiplying.

    It is rough: a machine that is busy now gets slow estimates. None if the metadata do not say how large the model is.
    """
    parameters = _parameters(metadata)
    return _products_per_second() * _EFFICIENCY / (2 * parameters) if parameters else None


def _parameters(metadata: Mapping[str, str]) -> int | None:
    """Parameters that compute on each token, roughly, by the usual shape of a decoder."""
    name = metadata.get("general.architecture", "")
    try:
        width, layers, inner = (
            int(metadata[f"{name}.{key}"]) for key in ("embedding_length", "block_count", "feed_forward_length")
        )
    except (KeyError, ValueError):
        return None
    return layers * width * (3 * width + 3 * inner)


def _products_per_second() -> float:
    """Multiplications with addition per second, of matrices in single precision."""
    matrix = np.ones((_SIDE, _SIDE), np.float32)
    began = time.perf_counter()
    rounds = 0
    while rounds < 3 or time.perf_counter() - began < 0.2:
        matrix @ matrix
        rounds += 1
    return rounds * _SIDE**3 / (time.perf_counter() - began)
