"""Placement of a model's layers: on devices with memory of their own, and in the memory of this machine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ponant.errors import ModelLoadError
from ponant.llamacpp.layer_sizes import LayerSizes
from ponant.llamacpp.offload import SplitMode
from ponant.sizes import megabytes

HOST = "host"
"""Name of the memory of this machine among memory pools."""

_SPARE_DEVICE_MEMORY = 128 * 2**20
"""Memory of a device that is left to drivers and displays, in bytes."""
_BALANCING_STEPS = 24


class DeviceSettings(msgspec.Struct, frozen=True):
    """The user's choice of devices. None leaves the choice to the plan.

    Attributes:
        names: names of devices, and addresses of RPC servers; empty for the processor alone, None for all GPUs.
        gpu_layers: layers that are placed on devices, counted from the last; the output counts as one.
        split_mode: use of several devices.
        tensor_split: shares of the devices, in their order.
        main_device: the device of split mode ``none``, and of small tensors in split mode ``row``.
        cpu_moe: number of first layers whose experts stay in the memory of this machine.
    """

    names: list[str] | None = None
    gpu_layers: int | None = None
    split_mode: SplitMode = "layer"
    tensor_split: list[float] | None = None
    main_device: str | None = None
    cpu_moe: int = 0


ALL_DEVICES = DeviceSettings()
"""As many layers as fit, on all GPUs."""


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Memory of a device that a model may use.

    Attributes:
        name: name of the device.
        free: free memory in bytes.
        pool: name of the memory; devices of one pool share it. ``HOST`` is the memory of this machine.
        overhead: bytes of compute buffers there, as measured.
    """

    name: str
    free: int
    pool: str
    overhead: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Layers by device.

    Attributes:
        counts: number of layers by the name of each device, in the order of the devices. The last one has the output,
            which counts as a layer.
        layers: number of all layers, the output included.
        device_bytes: weights, keys and values on each device, in bytes.
        host_bytes: weights, keys and values in the memory of this machine, in bytes.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    layers: int = 0
    device_bytes: Mapping[str, int] = field(default_factory=dict)
    host_bytes: int = 0

    @property
    def on_devices(self) -> int:
        """Number of layers on devices."""
        return sum(self.counts.values())

    @property
    def is_complete(self) -> bool:
        """True if all layers are on devices."""
        return self.on_devices == self.layers


ON_THIS_MACHINE = Placement()
"""No layer is on a device."""


def place(
    sizes: LayerSizes,
    devices: Sequence[DeviceMemory],
    wish: DeviceSettings,
    *,
    kv_bytes_per_layer: int,
) -> Placement:
    """Place as many layers as fit on devices, from the last one, and the rest in the memory of this machine.

    Args:
        sizes: weights of the layers.
        devices: devices in the order of use; none places everything in the memory of this machine.
        wish: choices of the user. Its names are not read.
        kv_bytes_per_layer: bytes of a layer's keys and values for all cells.

    Raises:
        ModelLoadError: the wish of ``gpu_layers`` does not fit.
    """
    costs = [*_layer_costs(sizes, wish, kv_bytes_per_layer), sizes.output]
    used = _used(devices, wish)
    capacities = _capacities(used)
    if wish.gpu_layers is not None:
        wanted = min(wish.gpu_layers, len(costs))
        counts = _split(costs, wanted, capacities, wish)
        if counts is None:
            raise ModelLoadError(_too_large(costs, wanted, used, capacities))
    else:
        counts = _most(costs, capacities, wish)
    return _placement(sizes, costs, used, counts, kv_bytes_per_layer)


def _most(costs: Sequence[int], capacities: Sequence[int], wish: DeviceSettings) -> list[int]:
    """Return the layers on each device for the largest number that fits."""
    low, high = 0, len(costs)
    while low < high:  # fewer layers fit wherever more do
        middle = (low + high + 1) // 2
        if _split(costs, middle, capacities, wish) is None:
            high = middle - 1
        else:
            low = middle
    return _split(costs, low, capacities, wish) or [0] * len(capacities)


def _split(costs: Sequence[int], layers: int, capacities: Sequence[int], wish: DeviceSettings) -> list[int] | None:
    """Divide the last ``layers`` layers between devices; None if they do not fit."""
    placed = costs[len(costs) - layers :]
    if not capacities:
        return None if layers else []
    if wish.tensor_split:
        return _by_shares(placed, capacities, wish.tensor_split)
    if wish.split_mode == "row":
        return _by_rows(placed, capacities)
    full = _fill(placed, capacities, 1.0)
    if full is None or len(capacities) == 1:
        return full
    low, high = 0.0, 1.0
    for _ in range(_BALANCING_STEPS):  # the smallest share of every device's memory that suffices
        middle = (low + high) / 2
        counts = _fill(placed, capacities, middle)
        if counts is None:
            low = middle
        else:
            full, high = counts, middle
    return full


def _fill(placed: Sequence[int], capacities: Sequence[int], share: float) -> list[int] | None:
    """Fill one device after the other up to a share of its memory; None if that does not suffice."""
    counts, layer = [], 0
    for capacity in capacities:
        left, first = capacity * share, layer
        while layer < len(placed) and placed[layer] <= left:
            left -= placed[layer]
            layer += 1
        counts.append(layer - first)
    return counts if layer == len(placed) else None


def _by_shares(placed: Sequence[int], capacities: Sequence[int], shares: Sequence[float]) -> list[int] | None:
    """Divide layers by the user's shares; None if a device is too small for its layers."""
    total, ends, passed = sum(shares), [], 0.0
    for share in shares[: len(capacities)]:
        passed += share
        ends.append(round(len(placed) * passed / total))
    ends[-1] = len(placed)
    starts = [0, *ends[:-1]]
    fits = all(sum(placed[a:b]) <= room for a, b, room in zip(starts, ends, capacities, strict=True))
    return [b - a for a, b in zip(starts, ends, strict=True)] if fits else None


def _by_rows(placed: Sequence[int], capacities: Sequence[int]) -> list[int] | None:
    """Divide layers in proportion to the memory of the devices; None if all together are too small."""
    if sum(placed) > sum(capacities):
        return None
    total, passed, ends = sum(capacities) or 1, 0, []
    for capacity in capacities:
        passed += capacity
        ends.append(round(len(placed) * passed / total))
    return [b - a for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _layer_costs(sizes: LayerSizes, wish: DeviceSettings, kv_bytes: int) -> Iterator[int]:
    for index, weights in enumerate(sizes.layers):
        on_host = sizes.experts[index] if index < wish.cpu_moe else 0
        yield weights - on_host + kv_bytes


def _used(devices: Sequence[DeviceMemory], wish: DeviceSettings) -> list[DeviceMemory]:
    """Return the devices that get layers. Raises ModelLoadError if the main device is not one of them."""
    if wish.split_mode != "none" or not devices:
        return list(devices)
    if wish.main_device is None:
        return [max(devices, key=lambda device: device.free)]
    chosen = [device for device in devices if device.name == wish.main_device]
    if not chosen:
        names = ", ".join(device.name for device in devices)
        raise ModelLoadError(f"main_device is {wish.main_device}, which is not in use; choose one of {names}")
    return chosen


def _capacities(devices: Sequence[DeviceMemory]) -> list[int]:
    """Return the bytes that each device has for layers. Devices of one pool share its memory equally."""
    sharing = {device.pool: sum(other.pool == device.pool for other in devices) for device in devices}
    free = {pool: min(device.free for device in devices if device.pool == pool) for pool in sharing}
    return [
        max(0, free[device.pool] // sharing[device.pool] - device.overhead - _SPARE_DEVICE_MEMORY) for device in devices
    ]


def _placement(
    sizes: LayerSizes, costs: Sequence[int], devices: Sequence[DeviceMemory], counts: Sequence[int], kv_bytes: int
) -> Placement:
    first = len(costs) - sum(counts)
    taken: dict[str, int] = {}
    layer = first
    for device, count in zip(devices, counts, strict=True):
        taken[device.name] = sum(costs[layer : layer + count])
        layer += count
    all_bytes = sum(sizes.layers) + kv_bytes * len(sizes.layers) + (0 if first < len(costs) else sizes.output)
    on_devices = sum(taken.values()) - (sizes.output if first < len(costs) else 0)
    return Placement(
        {device.name: count for device, count in zip(devices, counts, strict=True) if count},
        len(costs),
        {name: size for name, size in taken.items() if size},
        sizes.input + all_bytes - on_devices,
    )


def _too_large(costs: Sequence[int], wanted: int, devices: Sequence[DeviceMemory], capacities: Sequence[int]) -> str:
    needed = sum(costs[len(costs) - wanted :])
    if not devices:
        return f"gpu_layers is {wanted}, but there is no GPU; see ponant doctor"
    rooms = ", ".join(f"{device.name} {megabytes(room)}" for device, room in zip(devices, capacities, strict=True))
    fits = 0
    while fits < len(costs) and sum(costs[len(costs) - fits - 1 :]) <= sum(capacities):
        fits += 1
    return (
        f"gpu_layers is {wanted}, which takes {megabytes(needed)} with the KV cache, but there is room for {rooms}; "
        f"about {fits} layers fit: lower gpu_layers, kv_memory or context, or leave gpu_layers out"
    )
