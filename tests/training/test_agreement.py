"""PEFT and the served adapter give the same logits; in `make soak` so does the merged bundled model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponant.training.export import export_adapter
from ponant.training.job import Hyperparameters
from ponant.training.merge import merge
from ponant.training.packing import PackedSequence
from tests.soak import soaked
from tests.training.extra import skip_without_training
from tests.training.llamacpp import computed

skip_without_training()

TOKENS = [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198]

EXACT = 0.03
"""Tolerance between logits of the same weights in F32 or F16, as a fraction of the adapter's effect."""
ROUNDED = 2
"""Tolerance of the served adapter's logits, as a multiple of the base model's own difference without an adapter.

For products with quantized weights llama.cpp rounds activations to 8 bits; PyTorch computes with the same weights in
F32.
"""


def apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the mean difference of logits without a constant offset, which does not change the distribution."""
    return float(np.abs((one - one.mean()) - (other - other.mean())).mean())


@dataclass(frozen=True)
class Computed:
    """Logits of a model with an adapter and without, and the adapter's file."""

    by_peft: NDArray[np.float32]
    without: NDArray[np.float32]
    adapter: Path

    @property
    def moved(self) -> float:
        """Effect of the adapter."""
        return apart(self.by_peft, self.without)


def trained(model: Path, folder: Path, cache: Path, tokens: list[int]) -> Computed:
    """Train an adapter for some steps; compute with it in PEFT and export it."""
    import torch

    from ponant.training.base_weights import load_base
    from ponant.training.lora import LoraTrainer

    base = load_base(model, cache, dtype=torch.float32)
    trainer = LoraTrainer(base, Hyperparameters(), steps=1, device="cpu")
    torch.manual_seed(0)
    for name, weight in trainer._weights.items():
        if ".lora_B." in name:  # initially 0, which changes nothing
            torch.nn.init.normal_(weight, std=0.1)
    count = len(tokens)
    sequence = PackedSequence(np.array(tokens), np.arange(count), np.arange(count - 1), np.array(tokens[1:]))
    losses = [trainer._learn([sequence], 1e-3)[0] for _ in range(3)]
    assert losses == sorted(losses, reverse=True)
    trainer._model.eval()
    with torch.inference_mode():
        by_peft = trainer._model(torch.tensor([tokens])).logits[0, -1].numpy()
        with trainer._model.disable_adapter():
            without = trainer._model(torch.tensor([tokens])).logits[0, -1].numpy()
    trainer.save(folder / "peft")
    adapter = folder / "adapter.gguf"
    export_adapter(folder / "peft", model, adapter)
    return Computed(by_peft, without, adapter)


def test_tiny_model_with_an_adapter_is_the_same_everywhere(tmp_path: Path, tiny_model: Path) -> None:
    tokens = [token % 250 + 3 for token in TOKENS]
    made = trained(tiny_model, tmp_path, tmp_path / "cache", tokens)
    assert apart(computed(tiny_model, tokens), made.without) < EXACT * made.moved
    assert apart(computed(tiny_model, tokens, made.adapter), made.by_peft) < EXACT * made.moved


@soaked  # reading the weights of the bundled model takes many seconds
def test_bundled_model_with_an_adapter_is_the_same_everywhere(
    tmp_path: Path, bundled_model: Path, base_weights: Path
) -> None:
    made = trained(bundled_model, tmp_path, base_weights, TOKENS)
    rounded = apart(computed(bundled_model, TOKENS), made.without)
    assert made.moved > 5 * rounded  # otherwise the next assertions are weak
    assert apart(computed(bundled_model, TOKENS, made.adapter), made.by_peft) < ROUNDED * rounded
    merged = tmp_path / "merged.gguf"
    merge(bundled_model, made.adapter, merged, weights="f16")
    assert apart(computed(merged, TOKENS), made.by_peft) < EXACT * made.moved
