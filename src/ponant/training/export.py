"""Export of adapters from PEFT's format to llama.cpp's."""

import json
import math
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors import SafetensorError, deserialize

from ponant.training.errors import ExportError
from ponant.training.gguf_files import read_base, text_of, written_whole
from ponant.training.lora_pair import Array, LoraPair, check_shapes
from ponant.training.support import ARCHITECTURES

_PERMUTED = {"attn_q": "head_count", "attn_k": "head_count_kv"}
_PEFT_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.(\w+\.)?weight")
_NUMBERS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


def export_adapter(adapter: Path, base: Path, target: Path) -> None:
    """Write a LoRA adapter in llama.cpp's GGUF format.

    Args:
        adapter: folder with PEFT's ``adapter_config.json`` and ``adapter_model.safetensors``.
        base: GGUF file of the model that the adapter was trained on.
        target: file to write, atomically.

    Raises:
        ExportError: llama.cpp cannot apply the adapter, or it does not fit the model.
        OSError: the file cannot be written.
    """
    reader = read_base(base)
    pairs = dict(sorted(_to_gguf(_read_peft(adapter), reader).items()))  # tensors in PEFT's files have no fixed order
    first = next(iter(pairs.values()))
    alpha = first.scale * len(first.a)
    with (
        written_whole(target) as part,
        closing(gguf.GGUFWriter(part, text_of(reader, "general.architecture"))) as writer,
    ):
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        for name, pair in pairs.items():
            writer.add_tensor(f"{name}.lora_a", pair.a)
            # A file has one alpha; scale the matrices of pairs with another one.
            writer.add_tensor(f"{name}.lora_b", pair.b * np.float32(pair.scale * len(pair.a) / alpha))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def _read_peft(folder: Path) -> dict[str, LoraPair]:
    """Read the pairs of an adapter, by the names of the modules that they change."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = dict(deserialize((folder / "adapter_model.safetensors").read_bytes()))  # type: ignore[no-untyped-call]
    except FileNotFoundError as error:
        raise ExportError(f"{folder} is not a folder with a PEFT adapter: there is no {error.filename}") from None
    except (ValueError, SafetensorError) as error:
        raise ExportError(f"{folder} has an unreadable file: {error}") from None
    _check_config(config, folder)
    halves: dict[str, dict[str, Array]] = {}
    for name, tensor in tensors.items():
        match = _PEFT_TENSOR.fullmatch(name)
        if not match or tensor["dtype"] not in _NUMBERS:
            raise ExportError(f"{folder}: llama.cpp cannot apply {name}. Train linear layers only")
        halves.setdefault(match["module"], {})[match["half"]] = _numbers(tensor)
    pairs: dict[str, LoraPair] = {}
    for module, half in halves.items():
        if half.keys() != {"A", "B"} or half["A"].ndim != 2 or half["A"].shape[0] != half["B"].shape[-1]:
            raise ExportError(f"{folder}: the matrices of {module} do not fit together")
        pairs[module] = LoraPair(half["A"], half["B"], _scale(config, module, len(half["A"])))
    if not pairs:
        raise ExportError(f"{folder}: the adapter has no tensors")
    return pairs


def _check_config(config: Any, folder: Path) -> None:
    if (
        not isinstance(config, dict)
        or config.get("peft_type") != "LORA"
        or not isinstance(config.get("lora_alpha"), int | float)
    ):
        raise ExportError(f"{folder}: adapter_config.json does not describe a LoRA adapter")
    for key in ("use_dora", "fan_in_fan_out", "lora_bias", "modules_to_save", "alora_invocation_tokens"):
        if config.get(key):
            raise ExportError(f"{folder}: llama.cpp cannot apply an adapter with {key}")


def _scale(config: dict[str, Any], module: str, rank: int) -> float:
    patterns: dict[str, float] = config.get("alpha_pattern") or {}
    alpha = next(
        (alpha for pattern, alpha in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", module)),
        config["lora_alpha"],
    )
    return float(alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))


def _numbers(tensor: Any) -> Array:
    values = np.frombuffer(tensor["data"], dtype=_NUMBERS[tensor["dtype"]]).reshape(tensor["shape"])
    numbers: Array = values.astype(np.float32)
    if tensor["dtype"] == "BF16":
        numbers = (values.astype(np.uint32) << 16).view(np.float32)
    return numbers


def _to_gguf(pairs: dict[str, LoraPair], reader: Any) -> dict[str, LoraPair]:
    """Return the pairs by the tensors of the base that they change, with rows in the order of llama.cpp."""
    architecture = text_of(reader, "general.architecture")
    layers = reader.get_field(f"{architecture}.block_count").contents()
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[architecture], layers)
    converted: dict[str, LoraPair] = {}
    for module, pair in pairs.items():
        name = names.get_name(module)
        if name is None:
            raise ExportError(f"the model has no {module}, which the adapter changes")
        count = _PERMUTED.get(name.rpartition(".")[2]) if ARCHITECTURES[architecture] else None
        if count:
            heads = reader.get_field(f"{architecture}.attention.{count}").contents()
            converted[f"{name}.weight"] = replace(pair, b=_interleave(pair.b, heads))
        else:
            converted[f"{name}.weight"] = pair
    check_shapes(converted, reader)
    return converted


def _interleave(b: Array, heads: int) -> Array:
    """Interleave the rows of each head's two halves. ``b`` has shape (outputs, rank)."""
    outputs, rank = b.shape
    if outputs % (2 * heads):
        raise ExportError(f"{outputs} outputs cannot be divided among {heads} heads")
    return np.ascontiguousarray(b.reshape(heads, 2, outputs // heads // 2, rank).swapaxes(1, 2).reshape(outputs, rank))
