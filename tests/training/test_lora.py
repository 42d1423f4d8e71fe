"""Losses and logits of packed samples."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ponant.training.job import Hyperparameters
from ponant.training.packing import PackedSequence
from tests.training.extra import skip_without_training

if TYPE_CHECKING:
    from ponant.training.lora import LoraTrainer

skip_without_training()


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> "LoraTrainer":
    import torch

    from ponant.training.base_weights import load_base
    from ponant.training.lora import LoraTrainer

    base = load_base(tiny_model, tmp_path_factory.mktemp("cache"), dtype=torch.float32)
    return LoraTrainer(base, Hyperparameters(), steps=10, device="cpu")


def sequence_of(*samples: list[int]) -> PackedSequence:
    """Pack samples in which all tokens except the first are learned."""
    tokens = np.concatenate([np.array(sample) for sample in samples])
    positions = np.concatenate([np.arange(len(sample)) for sample in samples])
    targets = np.flatnonzero(positions)
    return PackedSequence(tokens, positions, targets - 1, tokens[targets])


def test_packed_samples_do_not_see_each_other(trainer: "LoraTrainer") -> None:
    import torch

    random = np.random.default_rng(0)
    samples = [random.integers(0, 256, length).tolist() for length in (20, 3, 41)]
    with torch.inference_mode():
        packed, targets = trainer._logits(sequence_of(*samples))
        apart = [trainer._logits(sequence_of(sample)) for sample in samples]

    assert torch.equal(targets, torch.cat([each for _, each in apart]))
    torch.testing.assert_close(packed, torch.cat([logits for logits, _ in apart]), atol=1e-4, rtol=1e-4)
    # sensitivity: without borders the logits differ
    joined = [token for sample in samples for token in sample]
    with torch.inference_mode():
        seen, _ = trainer._logits(sequence_of(joined))
    assert (seen[-40:] - packed[-40:]).abs().max() > 0.1


def test_the_loss_is_that_of_transformers(trainer: "LoraTrainer") -> None:
    import torch

    tokens = np.random.default_rng(1).integers(0, 256, 50).tolist()
    whole = torch.tensor([tokens])
    with torch.inference_mode():
        logits, targets = trainer._logits(sequence_of(tokens))
        expected = trainer._model(input_ids=whole, labels=whole).loss

    assert float(trainer._loss(logits, targets)) / 49 == pytest.approx(float(expected), rel=1e-5)


def test_only_the_adapter_learns(trainer: "LoraTrainer") -> None:

    assert all(".lora_" in name for name in trainer._weights)
    assert len(trainer._weights) == 2 * 7 * 2  # layers, linear layers per layer, two matrices per linear layer


def test_a_precision_is_chosen() -> None:
    from ponant.training.lora import choose_precision

    assert choose_precision("cpu") in ("float32", "bfloat16")
