"""A model with an adapter merged into its weights, as one GGUF file."""

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


def _merged(tensor: Any, pair: LoraPair | None, kind: Any) -> NDArray[np.uint8]:
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
