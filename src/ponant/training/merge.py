"""Merging of adapters into the weights of models."""

import math
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from numpy.typing import NDArray

from ponant.errors import AdapterError
from ponant.llamacpp.adapter_file import check_adapter_file
from ponant.training.errors import ExportError
from ponant.training.gguf_files import read_base, text_of, written_whole
from ponant.training.lora_pair import Array, LoraPair, check_shapes

WeightType = Literal["f16", "q8_0"]
"""Number format of a merged model's matrices."""


def merge(
    base: Path,
    adapter: Path,
    target: Path,
    *,
    weights: WeightType = "f16",
    progress: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Write a model with an adapter merged into its weights. The metadata, with the tokenizer, are those of the base.

    Args:
        base: GGUF file of the model.
        adapter: LoRA adapter for the model, as written by ``export_adapter``.
        target: file to write, atomically.
        weights: number format of matrices. Vectors are F32.
        progress: called with the bytes of tensors written so far, and those of all tensors.

    Raises:
        ExportError: the adapter does not fit the model, or the disk has no room for the file.
        OSError: the file cannot be written.
    """
    reader = read_base(base)
    architecture = text_of(reader, "general.architecture")
    pairs = _read_adapter(adapter, architecture)
    check_shapes(pairs, reader)
    kinds = {tensor.name: _merged_type(tensor, weights) for tensor in reader.tensors}
    shapes = {tensor.name: _byte_shape(tensor, kinds[tensor.name]) for tensor in reader.tensors}
    size = sum(map(math.prod, shapes.values()))
    _check_room(target, size + base.stat().st_size - sum(int(tensor.n_bytes) for tensor in reader.tensors))
    written = 0
    with (
        written_whole(target) as part,
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


def _read_adapter(path: Path, architecture: str) -> dict[str, LoraPair]:
    try:
        check_adapter_file(path, architecture)
    except AdapterError as error:
        raise ExportError(str(error)) from None
    reader = gguf.GGUFReader(path)
    alpha = reader.get_field("adapter.lora.alpha")
    tensors = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    pairs: dict[str, LoraPair] = {}
    for name in {name.rpartition(".")[0] for name in tensors}:
        a, b = tensors.get(f"{name}.lora_a"), tensors.get(f"{name}.lora_b")
        if a is None or b is None or len(a) != b.shape[1]:
            raise ExportError(f"{path}: the matrices of {name} do not fit together")
        pairs[name] = LoraPair(a, b, alpha.contents() / len(a) if alpha and alpha.contents() else 1.0)
    return pairs


def _merged_type(tensor: Any, weights: WeightType) -> Any:
    """Return the number format of a tensor in a merged model."""
    if len(tensor.shape) < 2:
        return gguf.GGMLQuantizationType.F32
    if weights == "q8_0" and tensor.shape[0] % gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType.Q8_0][0] == 0:
        return gguf.GGMLQuantizationType.Q8_0
    return gguf.GGMLQuantizationType.F16


def _byte_shape(tensor: Any, kind: Any) -> tuple[int, ...]:
    """Return the shape of a tensor in a number format, with its last dimension in bytes."""
    shape: tuple[int, ...] = gguf.quant_shape_to_byte_shape(tuple(reversed(tensor.shape.tolist())), kind)
    return shape


def _check_room(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.absolute().parent).free
    if free < needed:
        raise ExportError(
            f"{target} needs {needed // 2**20} MiB, but only {free // 2**20} MiB are free. Free some space, or choose "
            "another disk"
        )


def _merged(tensor: Any, pair: LoraPair | None, kind: Any) -> NDArray[np.uint8]:
    """Return the bytes of a tensor in its new format, with the change of the adapter, if any."""
    values: Array = gguf.dequantize(tensor.data, tensor.tensor_type)
    if pair:
        values = values + np.float32(pair.scale) * (pair.b @ pair.a)
    with np.errstate(over="ignore"):
        data: NDArray[Any] = gguf.quantize(values, kind)
    if kind == gguf.GGMLQuantizationType.F16 and not np.isfinite(data).all():
        raise ExportError(f"the values of {tensor.name} are too large for f16. Use q8_0")
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
