"""Estimates for a run."""

import math
import time
from collections.abc import Mapping

import numpy as np

from ponant.training.job import Hyperparameters
from ponant.training.packing import Packer
from ponant.training.report import TrainingPlan

_EPOCHS = 3.0
_START_SECONDS = 30
"""Approximate time to load the model."""
_EFFICIENCY = 0.6
"""Speed of training relative to a matrix product, measured with the bundled model on a CPU."""
_SIDE = 768


def make_plan(packer: Packer, hyperparameters: Hyperparameters, tokens_per_second: float | None = None) -> TrainingPlan:
    """Return the plan of a run.

    Args:
        packer: has the samples.
        hyperparameters: hyperparameters.
        tokens_per_second: speed of training; without it, the plan has no duration.
    """
    sequences = len(packer.epoch(0))
    per_epoch = sequences / hyperparameters.batch_size
    steps = hyperparameters.training_steps or math.ceil((hyperparameters.epochs or _EPOCHS) * per_epoch)
    per_step = hyperparameters.seq_len * hyperparameters.batch_size
    tokens = min(steps * per_step, math.ceil(steps / per_epoch * packer.data_tokens))
    seconds = None if tokens_per_second is None else round(_START_SECONDS + tokens / tokens_per_second)
    return TrainingPlan(steps, steps / per_epoch, packer.data_tokens, per_step, steps * per_step, seconds)


def estimate_speed(metadata: Mapping[str, str]) -> float | None:
    """Return a rough estimate of the CPU's training speed in tokens per second; None without the model's size.

    The speed of matrix products is measured for 0.2 s, so a busy machine gets a low estimate.

    Args:
        metadata: GGUF metadata of the model.
    """
    parameters = _parameters(metadata)
    return _products_per_second() * _EFFICIENCY / (2 * parameters) if parameters else None


def _parameters(metadata: Mapping[str, str]) -> int | None:
    """Return the approximate number of parameters in the layers of a decoder."""
    name = metadata.get("general.architecture", "")
    try:
        width, layers, inner = (
            int(metadata[f"{name}.{key}"]) for key in ("embedding_length", "block_count", "feed_forward_length")
        )
    except (KeyError, ValueError):
        return None
    return layers * width * (3 * width + 3 * inner)


def _products_per_second() -> float:
    """Return multiply-adds per second of a float32 matrix product."""
    matrix = np.ones((_SIDE, _SIDE), np.float32)
    began = time.perf_counter()
    rounds = 0
    while rounds < 3 or time.perf_counter() - began < 0.2:
        matrix @ matrix
        rounds += 1
    return rounds * _SIDE**3 / (time.perf_counter() - began)
