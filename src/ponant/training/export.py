"""From an adapter as PEFT writes it to what llama.cpp reads: an adapter, or a model that has it in its weights."""

import contextlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ponant.errors import AdapterError
from ponant.llamacpp.adapter_file import check_adapter_file

try:
    import gguf
    from safetensors import SafetensorError, deserialize
except ImportError as missing:
    raise ImportError(
        f"{missing}; exporting needs the extra finetune: pip install 'ponant[finetune]'", name=missing.name
    ) from missing

WeightType = Literal["f16", "q8_0"]
"""Number format of a merged model's matrices."""

Array = NDArray[np.float32]

_INTERLEAVED = {"llama": True, "mistral3": True, "qwen2": False, "qwen3": False}
"""The architectures that can be exported, and whether llama.cpp has the two halves of a head's dimensions interleaved.

Position is told by rotating pairs of dimensions. In PEFT's weights, which are transformers', a pair is (i, i + half);
with these architectures it is (2i, 2i + 1) in llama.cpp, so the rows of the query and key matrices change places.
"""
_PERMUTED = {"attn_q": "head_count", "attn_k": "head_count_kv"}
_PEFT_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.(\w+\.)?weight")
_NUMBERS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}


class ExportError(Exception):
    """An adapter cannot be exported. The message is for users."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """The matrices by whose product, times ``scale``, a weight changes: A (rank, inputs) and B (outputs, rank)."""

    a: Array
    b: Array
    scale: float


def check_base(base: Path) -> None:
    """Raises ExportError if adapters for the model of a GGUF file cannot be exported."""
    _read(base)


def export_adapter(adapter: Path, base: Path, target: Path) -> None:
    """Write a LoRA adapter in llama.cpp's GGUF format.

    Args:
        adapter: folder with PEFT's ``adapter_config.json`` and ``adapter_model.safetensors``.
        base: the GGUF file of the model that the adapter was trained on.
        target: the file to write; it is there when it is complete, or not at all.

    Raises:
        ExportError: the adapter is of a kind that llama.cpp cannot apply, or not one of this model.
        OSError: the file cannot be written.
    """
    reader = _read(base)
    pairs = dict(sorted(_to_gguf(_read_peft(adapter), reader).items()))  # PEFT's files have no order of their own
    first = next(iter(pairs.values()))
    alpha = first.scale * len(first.a)
    with _atomically(target) as part, closing(gguf.GGUFWriter(part, _text(reader, "general.architecture"))) as writer:
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        for name, pair in pairs.items():
            writer.add_tensor(f"{name}.lora_a", pair.a)
            # The file has one alpha for all: what a matrix has otherwise goes into its numbers.
            writer.add_tensor(f"{name}.lora_b", pair.b * np.float32(pair.scale * len(pair.a) / alpha))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def merge(
    base: Path,
    adapter: Path,
    target: Path,
    *,
    weights: WeightType = "f16",
    progress: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Write a model with an adapter's changes in its weights. All metadata, the tokenizer's too, are the base's.

    Args:
        base: the GGUF file of the model.
        adapter: a LoRA adapter for it, as ``export_adapter`` writes them.
        target: the file to write; it is there when it is complete, or not at all.
        weights: the number format of its matrices. Vectors are F32.
        progress: is told how many bytes of how many are written, of the numbers alone.

    Raises:
        ExportError: the adapter is not one of this model, or there is no room for the file.
        OSError: the file cannot be written.
    """
    reader = _read(base)
    architecture = _text(reader, "general.architecture")
    pairs = _read_adapter(adapter, architecture)
    _check_shapes(pairs, reader)
    kinds = {tensor.name: _merged_type(tensor, weights) for tensor in reader.tensors}
    shapes = {tensor.name: _byte_shape(tensor, kinds[tensor.name]) for tensor in reader.tensors}
    size = sum(map(math.prod, shapes.values()))
    _check_room(target, size + base.stat().st_size - sum(int(tensor.n_bytes) for tensor in reader.tensors))
    written = 0
    with (
        _atomically(target) as part,
        closing(gguf.GGUFWriter(part, architecture, endianess=reader.endianess)) as writer,
    ):
        _copy_metadata(reader, writer, weights)
        for tensor in reader.tensors:
            kind, shape = kinds[tensor.name], shapes[tensor.name]
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), math.prod(shape), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in reader.tensors:
            writer.write_tensor_data(_merged(tensor, pairs.get(tensor.name), kinds[tensor.name]))
            written += math.prod(shapes[tensor.name])
            progress(written, size)


def _read(base: Path) -> Any:
    try:
        reader = gguf.GGUFReader(base)
    except FileNotFoundError:
        raise ExportError(f"there is no file {base}") from None
    except (ValueError, IndexError, KeyError) as error:
        raise ExportError(f"{base} is not a GGUF file that can be read: {error}") from None
    architecture = _text(reader, "general.architecture")
    if architecture not in _INTERLEAVED:
        known = ", ".join(_INTERLEAVED)
        raise ExportError(
            f"{base}: adapters for models of the architecture {architecture} cannot be exported ({known})"
        )
    if (split := reader.get_field("split.count")) and split.contents() > 1:
        raise ExportError(f"{base} is one of several files of a model; join them with llama-gguf-split --merge")
    return reader


def _text(reader: Any, key: str) -> str:
    field = reader.get_field(key)
    return str(field.contents()) if field else ""


def _read_peft(folder: Path) -> dict[str, _Pair]:
    """The pairs of an adapter by the modules of transformers that they change."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = dict(deserialize((folder / "adapter_model.safetensors").read_bytes()))  # type: ignore[no-untyped-call]
    except FileNotFoundError as error:
        raise ExportError(f"{folder} is not a folder with an adapter of PEFT's: there is no {error.filename}") from None
    except (ValueError, SafetensorError) as error:
        raise ExportError(f"{folder} has a file that cannot be read: {error}") from None
    _check_config(config, folder)
    halves: dict[str, dict[str, Array]] = {}
    for name, tensor in tensors.items():
        match = _PEFT_TENSOR.fullmatch(name)
        if not match or tensor["dtype"] not in _NUMBERS:
            raise ExportError(f"{folder}: {name} is not something that llama.cpp can apply; train linear layers alone")
        halves.setdefault(match["module"], {})[match["half"]] = _numbers(tensor)
    pairs: dict[str, _Pair] = {}
    for module, half in halves.items():
        if half.keys() != {"A", "B"} or half["A"].ndim != 2 or half["A"].shape[0] != half["B"].shape[-1]:
            raise ExportError(f"{folder}: the matrices of {module} do not fit together")
        pairs[module] = _Pair(half["A"], half["B"], _scale(config, module, len(half["A"])))
    if not pairs:
        raise ExportError(f"{folder}: the adapter changes nothing")
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


def _to_gguf(pairs: dict[str, _Pair], reader: Any) -> dict[str, _Pair]:
    """The pairs by the tensors of the base that they change, with the rows of llama.cpp's order."""
    architecture = _text(reader, "general.architecture")
    layers = reader.get_field(f"{architecture}.block_count").contents()
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[architecture], layers)
    converted: dict[str, _Pair] = {}
    for module, pair in pairs.items():
        name = names.get_name(module)
        if name is None:
            raise ExportError(f"the model has no {module} for the adapter to change")
        count = _PERMUTED.get(name.rpartition(".")[2]) if _INTERLEAVED[architecture] else None
        if count:
            heads = reader.get_field(f"{architecture}.attention.{count}").contents()
            converted[f"{name}.weight"] = replace(pair, b=_interleave(pair.b, heads))
        else:
            converted[f"{name}.weight"] = pair
    _check_shapes(converted, reader)
    return converted


def _interleave(b: Array, heads: int) -> Array:
    """Put the rows of each head's two halves one after the other in turn."""
    outputs, rank = b.shape
    if outputs % (2 * heads):
        raise ExportError(f"{outputs} outputs cannot be divided among {heads} heads")
    return np.ascontiguousarray(b.reshape(heads, 2, outputs // heads // 2, rank).swapaxes(1, 2).reshape(outputs, rank))


def _read_adapter(path: Path, architecture: str) -> dict[str, _Pair]:
    try:
        check_adapter_file(path, architecture)
    except AdapterError as error:
        raise ExportError(str(error)) from None
    reader = gguf.GGUFReader(path)
    alpha = reader.get_field("adapter.lora.alpha")
    tensors = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    pairs: dict[str, _Pair] = {}
    for name in {name.rpartition(".")[0] for name in tensors}:
        a, b = tensors.get(f"{name}.lora_a"), tensors.get(f"{name}.lora_b")
        if a is None or b is None or len(a) != b.shape[1]:
            raise ExportError(f"{path}: the matrices of {name} do not fit together")
        pairs[name] = _Pair(a, b, alpha.contents() / len(a) if alpha and alpha.contents() else 1.0)
    return pairs


def _check_shapes(pairs: dict[str, _Pair], reader: Any) -> None:
    shapes = {tensor.name: tuple(tensor.shape.tolist()) for tensor in reader.tensors}
    for name, pair in pairs.items():
        changed = pair.a.shape[1], pair.b.shape[0]
        if shapes.get(name) != changed:
            raise ExportError(
                f"the adapter changes a {name} of {changed[0]} inputs and {changed[1]} outputs, which this model does "
                "not have; is it the one that the adapter was trained on?"
            )


def _merged_type(tensor: Any, weights: WeightType) -> Any:
    """The format of a tensor in a merged model."""
    if len(tensor.shape) < 2:
        return gguf.GGMLQuantizationType.F32
    if weights == "q8_0" and tensor.shape[0] % gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType.Q8_0][0] == 0:
        return gguf.GGMLQuantizationType.Q8_0
    return gguf.GGMLQuantizationType.F16


def _byte_shape(tensor: Any, kind: Any) -> tuple[int, ...]:
    """The shape of a tensor in a format, in bytes."""
    shape: tuple[int, ...] = gguf.quant_shape_to_byte_shape(tuple(reversed(tensor.shape.tolist())), kind)
    return shape


def _check_room(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.absolute().parent).free
    if free < needed:
        raise ExportError(
            f"{target} takes {needed // 2**20} MiB, and {free // 2**20} MiB are free there: free some, or take another "
            "place"
        )


def _merged(tensor: Any, pair: _Pair | None, kind: Any) -> NDArray[np.uint8]:
    """A tensor's bytes in its new format, changed by the adapter if that concerns it."""
    values: Array = gguf.dequantize(tensor.data, tensor.tensor_type)
    if pair:
        values = values + np.float32(pair.scale) * (pair.b @ pair.a)
    with np.errstate(over="ignore"):
        data: NDArray[Any] = gguf.quantize(values, kind)
    if kind == gguf.GGMLQuantizationType.F16 and not np.isfinite(data).all():
        raise ExportError(f"the numbers of {tensor.name} are too large for F16; take q8_0")
    return np.ascontiguousarray(data).view(np.uint8)


def _copy_metadata(reader: Any, writer: Any, weights: WeightType) -> None:
    own = {"general.architecture", "general.alignment", "general.file_type", "general.quantization_version"}
    for field in reader.fields.values():
        if field.name in own or field.name.startswith("GGUF."):
            continue
        value, (kind, *of) = field.contents(), field.types
        if kind != gguf.GGUFValueType.ARRAY or value:  # empty lists cannot be written
            writer.add_key_value(field.name, value, kind, sub_type=of[-1] if of else None)
    file_types = {"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
    writer.add_file_type(file_types[weights])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    if reader.alignment != writer.data_alignment:
        writer.add_custom_alignment(reader.alignment)


@contextlib.contextmanager
def _atomically(target: Path) -> Iterator[Path]:
    """A file to write, which becomes the target when it is complete."""
    part = target.with_name(f".{target.name}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
