"""PEFT, the served adapter and the merged model give the same logits for a real trained model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponant.training.export import export_adapter
from ponant.training.job import Hyperparameters
from ponant.training.merge import merge
from ponant.training.packing import PackedSequence
from tests.soak import SOAK
from tests.training.extra import skip_without_training
from tests.training.llamacpp import computed

skip_without_training()

TOKENS = [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198]

EXACT = 0.03
"""Tolerance between logits of F16 and F32 weights, as a fraction of the adapter's effect."""
ROUNDED = 2
"""Tolerance of the served adapter's logits, as a multiple of the base model's own difference without an adapter.

For products with quantized weights llama.cpp rounds activations to 8 bits; PyTorch computes with the same weights in
F32.
"""


def apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the mean difference of logits without a constant offset, which does not change the distribution."""
    return float(np.abs((one - one.mean()) - (other - other.mean())).mean())


def test_bundled_model_with_an_adapter_is_the_same_everywhere(
    tmp_path: Path, bundled_model: Path, base_weights: Path
) -> None:
    import torch

    from ponant.training.base_weights import load_base
    from ponant.training.lora import LoraTrainer

    base = load_base(bundled_model, base_weights, dtype=torch.float32)
    trainer = LoraTrainer(base, Hyperparameters(), steps=1, device="cpu")
    torch.manual_seed(0)
    for name, weight in trainer._weights.items():
        if ".lora_B." in name:  # initially 0, which changes nothing
            torch.nn.init.normal_(weight, std=0.1)
    count = len(TOKENS)
    sequence = PackedSequence(np.array(TOKENS), np.arange(count), np.arange(count - 1), np.array(TOKENS[1:]))
    losses = [trainer._learn([sequence], 1e-3)[0] for _ in range(3)]
    assert losses == sorted(losses, reverse=True)
    trainer._model.eval()
    with torch.inference_mode():
        by_peft = trainer._model(torch.tensor([TOKENS])).logits[0, -1].numpy()
        with trainer._model.disable_adapter():
            without = trainer._model(torch.tensor([TOKENS])).logits[0, -1].numpy()
    trainer.save(tmp_path / "peft")
    adapter = tmp_path / "adapter.gguf"
    export_adapter(tmp_path / "peft", bundled_model, adapter)

    moved, rounded = apart(by_peft, without), apart(computed(bundled_model, TOKENS), without)
    assert moved > 5 * rounded  # otherwise the next assertions are weak
    assert apart(computed(bundled_model, TOKENS, adapter), by_peft) < ROUNDED * rounded
    if SOAK:  # tiny models are merged in tests of the export
        merged = tmp_path / "merged.gguf"
        merge(bundled_model, adapter, merged, weights="f16")
        assert apart(computed(merged, TOKENS), by_peft) < EXACT * moved
