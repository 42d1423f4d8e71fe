"""Exported adapters and merged models agree with the trained model in numpy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from ponant.training.errors import ExportError
from ponant.training.export import export_adapter
from ponant.training.merge import WeightType, merge
from tests.tiny_adapter import adapter_matrices, write_tiny_adapter
from tests.tiny_model import write_tiny_model
from tests.training import llamacpp
from tests.training.llama_in_numpy import MODULES, logits, read_weights

TOKENS = [72, 101, 108, 108, 111, 256, 44, 32, 119, 111, 114, 108, 100, 260, 33]
RANK = 4
ALPHA = 8

EXACT = 1e-3
"""Largest difference of logits computed in F32 from the same weights. Logits are within about ±10."""
NEAR: dict[WeightType, float] = {"f16": 0.02, "q8_0": 0.3}
"""Largest mean difference of logits after rounding of the weights."""
FAR = 0.5
"""Mean difference of logits that every known mistake exceeds."""

Matrices = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


def computed(model: Path, adapter: Path | None = None) -> NDArray[np.float32]:
    """Return llama.cpp's logits of the last token."""
    return llamacpp.computed(model, TOKENS, adapter)


def expected(model: Path, matrices: Matrices, scale: Callable[[str], float] = lambda _: ALPHA / RANK) -> NDArray[Any]:
    """Return the logits after training, as transformers computes them."""
    weights = read_weights(model)
    for name, (a, b) in matrices.items():
        weights[f"{name}.weight"] = weights[f"{name}.weight"] + scale(name) * (b.astype(np.float64) @ a)
    return logits(weights, TOKENS)


def write_peft(
    folder: Path, matrices: Matrices, *, dtype: str = "F32", more: dict[str, Any] | None = None, **config: Any
) -> Path:
    """Write an adapter in PEFT's format."""
    folder.mkdir(exist_ok=True)
    described = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "use_dora": False, "modules_to_save": None}
    (folder / "adapter_config.json").write_text(json.dumps(described | config))
    tensors: dict[str, NDArray[Any]] = {}
    for name, (a, b) in matrices.items():
        block, layer, module = name.split(".")
        prefix = f"base_model.model.model.layers.{layer}.{MODULES[module]}" if block == "blk" else name
        tensors |= {f"{prefix}.lora_A.weight": a, f"{prefix}.lora_B.weight": b}
    save_file(tensors | (more or {}), folder / "adapter_model.safetensors")
    if dtype == "BF16":
        _round_to_bfloat16(folder / "adapter_model.safetensors")
    return folder


def _round_to_bfloat16(path: Path) -> None:
    """Rewrite a file of F32 tensors with the upper half of each number."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    numbers = np.frombuffer(content[start:], dtype=np.uint32)
    for tensor in header.values():
        tensor["dtype"] = "BF16"
        tensor["data_offsets"] = [offset // 2 for offset in tensor["data_offsets"]]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + (numbers >> 16).astype(np.uint16).tobytes())


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_exported_adapter_and_merged_model_compute_what_was_trained(tmp_path: Path, architecture: str) -> None:
    base, adapter, matrices = tmp_path / "base.gguf", tmp_path / "adapter.gguf", adapter_matrices(5, rank=RANK)
    write_tiny_model(base, architecture=architecture)
    np.testing.assert_allclose(computed(base), logits(read_weights(base), TOKENS), atol=EXACT)

    export_adapter(write_peft(tmp_path / "peft", matrices), base, adapter)
    trained = expected(base, matrices)
    assert np.abs(computed(base) - trained).mean() > FAR
    np.testing.assert_allclose(computed(base, adapter), trained, atol=EXACT)

    for weights, near in NEAR.items():
        merged = tmp_path / f"{weights}.gguf"
        merge(base, adapter, merged, weights=weights)
        assert np.abs(computed(merged) - trained).mean() < near
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "adapter.gguf", "base.gguf", "f16.gguf", "peft", "q8_0.gguf"
    ]  # fmt: skip


@pytest.mark.parametrize(("architecture", "permutes"), [("llama", True), ("qwen2", False)])
def test_rows_of_queries_and_keys_in_the_wrong_order_would_be_noticed(
    tmp_path: Path, architecture: str, permutes: bool
) -> None:
    base, matrices = tmp_path / "base.gguf", adapter_matrices(5, rank=RANK, modules=["attn_q", "attn_k"])
    write_tiny_model(base, architecture=architecture)
    as_it_is = write_tiny_adapter(tmp_path / "a.gguf", matrices=matrices, alpha=ALPHA, architecture=architecture)
    error = np.abs(computed(base, as_it_is) - expected(base, matrices)).mean()
    assert error > FAR if permutes else error < EXACT


def test_scales_are_those_of_training(tmp_path: Path, tiny_model: Path) -> None:
    matrices = adapter_matrices(5, rank=RANK) | adapter_matrices(6, rank=2, modules=["attn_v"])

    def check(scale: Callable[[str], float], **config: Any) -> None:
        export_adapter(write_peft(tmp_path / "peft", matrices, **config), tiny_model, tmp_path / "adapter.gguf")
        got = computed(tiny_model, tmp_path / "adapter.gguf")
        np.testing.assert_allclose(got, expected(tiny_model, matrices, scale), atol=EXACT)

    def rank(name: str) -> int:
        return 2 if name.endswith("attn_v") else RANK

    check(lambda name: ALPHA / rank(name), rank_pattern={"v_proj": 2})
    check(lambda name: ALPHA / rank(name) ** 0.5, use_rslora=True)
    check(
        lambda name: (3 if name.endswith("ffn_up") else 5 if name == "blk.1.attn_q" else ALPHA) / rank(name),
        alpha_pattern={"up_proj": 3, r"layers\.1\.self_attn\.q_proj": 5},
    )


def test_adapter_in_bfloat16_is_read(tmp_path: Path, tiny_model: Path) -> None:
    matrices = {
        name: tuple((half.view(np.uint32) & 0xFFFF0000).view(np.float32) for half in pair)
        for name, pair in adapter_matrices(5, rank=RANK).items()
    }
    folder = write_peft(tmp_path / "peft", matrices, dtype="BF16")  # type: ignore[arg-type]
    export_adapter(folder, tiny_model, tmp_path / "adapter.gguf")
    got = computed(tiny_model, tmp_path / "adapter.gguf")
    np.testing.assert_allclose(got, expected(tiny_model, matrices), atol=EXACT)  # type: ignore[arg-type]


def test_merged_model_has_all_that_its_base_says_of_itself(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.gguf" for name in ("base", "q8_0", "f16")]
    write_tiny_model(paths[0], add_bos=True, more_controls={"<|fim_prefix|>": "fim_pre"})
    nothing = {"blk.1.attn_q": (np.zeros((1, 64), np.float32), np.zeros((64, 1), np.float32))}
    adapter = write_tiny_adapter(tmp_path / "adapter.gguf", matrices=nothing)
    merge(paths[0], adapter, paths[1], weights="q8_0")
    merge(paths[1], adapter, paths[2])
    base, *merged = map(gguf.GGUFReader, paths)
    changed = {"general.file_type", "general.quantization_version", "GGUF.kv_count"}
    for reader, kinds in zip(merged, ({"F32", "Q8_0"}, {"F32", "F16"}), strict=True):
        assert base.fields.keys() | changed == reader.fields.keys() | changed
        for key in base.fields.keys() - changed:
            assert base.fields[key].contents() == reader.fields[key].contents(), key
            assert base.fields[key].types == reader.fields[key].types
        tensors = [[(tensor.name, tensor.shape.tolist()) for tensor in of.tensors] for of in (base, reader)]
        assert tensors[0] == tensors[1]
        assert {tensor.tensor_type.name for tensor in reader.tensors} == kinds
    assert np.abs(computed(paths[2]) - logits(read_weights(paths[1]), TOKENS)).mean() < NEAR["f16"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "does not describe a LoRA adapter"),
        ({"use_dora": True}, "cannot apply an adapter with use_dora"),
        ({"modules_to_save": ["lm_head"]}, "cannot apply an adapter with modules_to_save"),
    ],
)
def test_adapters_of_other_kinds_are_refused(
    tmp_path: Path, tiny_model: Path, config: dict[str, Any], message: str
) -> None:
    folder = write_peft(tmp_path / "peft", adapter_matrices(1), **config)
    with pytest.raises(ExportError, match=message):
        export_adapter(folder, tiny_model, tmp_path / "adapter.gguf")
    assert not (tmp_path / "adapter.gguf").exists()


def test_adapters_of_other_models_and_broken_ones_are_refused_and_nothing_is_left(
    tmp_path: Path, tiny_model: Path
) -> None:
    target = tmp_path / "adapter.gguf"
    target.write_text("what was there before")

    def refused(folder: Path, message: str, base: Path = tiny_model) -> None:
        with pytest.raises(ExportError, match=message):
            export_adapter(folder, base, target)
        assert target.read_text() == "what was there before"
        assert not list(tmp_path.glob(".*"))

    whole = adapter_matrices(1)
    a, b = whole["blk.0.attn_q"]
    refused(tmp_path / "nowhere", "there is no .*adapter_config.json")
    refused(write_peft(tmp_path / "peft", {"blk.7.attn_q": (a, b)}), "the model has no model.layers.7.self_attn.q_proj")
    refused(write_peft(tmp_path / "peft", {"blk.0.attn_q": (a[:, :8].copy(), b)}), "is it the one that the adapter was")
    refused(write_peft(tmp_path / "peft", {"blk.0.attn_q": (a[:2].copy(), b)}), "do not fit together")
    refused(write_peft(tmp_path / "peft", whole, more={"base_model.model.lm_head.weight": a}), "Train linear layers")
    refused(write_peft(tmp_path / "peft", {}), "the adapter has no tensors")
    (tmp_path / "peft" / "adapter_model.safetensors").write_bytes(b"not that")
    refused(tmp_path / "peft", "has an unreadable file")
    (tmp_path / "peft" / "adapter_config.json").write_text("{")
    refused(tmp_path / "peft", "has an unreadable file")
    no_model = tmp_path / "no.gguf"
    no_model.write_bytes(b"nothing of the kind")
    refused(write_peft(tmp_path / "peft", whole), "not a GGUF file", base=no_model)
    other = write_tiny_adapter(tmp_path / "other.gguf", architecture="phi3")
    refused(write_peft(tmp_path / "peft", whole), "architecture phi3 cannot be exported", base=other)
    with pytest.raises(ExportError, match="it is for the architecture phi3"):
        merge(tiny_model, other, target)
    too_large = {"blk.0.attn_q": (a * 1e6, b * 1e6)}
    with pytest.raises(ExportError, match="too large for f16"):
        merge(tiny_model, write_tiny_adapter(tmp_path / "large.gguf", matrices=too_large), target)
    assert target.read_text() == "what was there before"
    assert not list(tmp_path.glob(".*"))
