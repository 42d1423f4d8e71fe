"""Placement of a model's layers on devices, as llama.cpp's parameters."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ponant.llamacpp.bindings import c
from ponant.llamacpp.devices import device_pointers, host_buffer_type

SplitMode = Literal["layer", "row", "none"]
"""Use of several devices: whole layers on each, rows of every matrix on each, or a single device."""

_EXPERTS_OF_LAYER = r"blk\.{}\.ffn_(up|down|gate)_(ch|)exps"


@dataclass(frozen=True, slots=True)
class Offload:
    """Layers on devices.

    Attributes:
        devices: names of the devices, in the order of the layers.
        layers: number of layers on devices, counted from the last; the output counts as one.
        shares: number of layers on each device.
        split_mode: use of several devices.
        main_device: index of the device of small tensors in split mode ``row``.
        experts_on_host: number of first layers whose experts stay in the memory of this machine.
    """

    devices: tuple[str, ...] = ()
    layers: int = 0
    shares: tuple[float, ...] = ()
    split_mode: SplitMode = "layer"
    main_device: int = 0
    experts_on_host: int = 0


ON_HOST = Offload()
"""Everything is computed by the processor."""


class _Override(ctypes.Structure):
    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


def fill_params(params: Any, offload: Offload) -> Sequence[Any]:
    """Set the fields of ``llama_model_params``; returns what they point to, which must outlive their use.

    Raises:
        ModelLoadError: there is no device with one of the names.
    """
    modes = {"layer": c.LLAMA_SPLIT_MODE_LAYER, "row": c.LLAMA_SPLIT_MODE_ROW, "none": c.LLAMA_SPLIT_MODE_NONE}
    pointers = device_pointers(offload.devices)
    params.devices = ctypes.cast(pointers, ctypes.c_void_p)
    params.n_gpu_layers = offload.layers
    params.split_mode = modes[offload.split_mode]
    params.main_gpu = offload.main_device
    pointed: list[Any] = [pointers]
    if offload.shares:
        shares = (ctypes.c_float * c.llama_max_devices())(*offload.shares)
        params.tensor_split = shares
        pointed.append(shares)
    if offload.experts_on_host:
        overrides = _overrides(offload.experts_on_host)
        params.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
        pointed.append(overrides)
    return pointed


def _overrides(layers: int) -> Any:
    """Return the overrides that keep the experts of the first layers in the memory of this machine, NULL-ended."""
    host = host_buffer_type()
    patterns = [_EXPERTS_OF_LAYER.format(index).encode() for index in range(layers)]
    return (_Override * (layers + 1))(*[_Override(pattern, host) for pattern in patterns], _Override(None, None))
