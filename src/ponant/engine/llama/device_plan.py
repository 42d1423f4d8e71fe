"""Choice of devices for an engine, and the plan of their memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.memory import MemoryPlan, plan_memory
from ponant.engine.llama.placement import HOST, DeviceMemory, DeviceSettings, Placement, place
from ponant.errors import ModelLoadError
from ponant.llamacpp.devices import RPC_SCHEME, Device, connect_rpc, devices
from ponant.llamacpp.layer_sizes import LayerSizes
from ponant.llamacpp.memory import ModelSize
from ponant.llamacpp.offload import ON_HOST, Offload
from ponant.sizes import megabytes

_LOOPBACK = ("127.", "localhost", "[::1]")
_UNIFIED = ("Metal", "MTL")
"""Names of ggml's backend for Apple's GPUs."""
_SHRINK = 0.9
"""Factor by which a KV cache of default size shrinks while it leaves some layers no room."""


@dataclass(frozen=True, slots=True)
class ChosenDevice:
    """A device of an engine, and the memory pool that it shares with others."""

    device: Device
    pool: str


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """Sizes of an engine and the placement of its layers."""

    memory: MemoryPlan
    placement: Placement
    offload: Offload


def choose_devices(names: Sequence[str] | None) -> list[ChosenDevice]:
    """Return the devices with these names, in their order, and connect to the RPC servers among them.

    Args:
        names: names of devices and addresses of RPC servers, ``rpc://host:port``; None for all GPUs of this machine.

    Raises:
        ModelLoadError: there is no such device, or no server answers.
    """
    if names is None:
        return [ChosenDevice(device, _pool(device)) for device in devices() if device.has_memory]
    pools: dict[str, str] = {}
    for name in names:
        if name.startswith(RPC_SCHEME):
            host = name.removeprefix(RPC_SCHEME)
            pools |= dict.fromkeys(connect_rpc(name), HOST if host.startswith(_LOOPBACK) else host.rpartition(":")[0])
        else:
            pools[name] = ""
    found = {device.name: device for device in devices()}
    missing = [name for name in pools if name not in found]
    if missing:
        known = ", ".join(device.name for device in found.values() if device.has_memory) or "none"
        raise ModelLoadError(f"there is no device {missing[0]}; those of this machine: {known} (see ponant doctor)")
    return [ChosenDevice(found[name], pool or _pool(found[name])) for name, pool in pools.items()]


def plan_devices(
    size: ModelSize,
    sizes: LayerSizes,
    config: EngineConfig,
    chosen: Sequence[ChosenDevice],
    *,
    available: int,
    compute: Mapping[str, int],
) -> DevicePlan:
    """Divide a model between devices and the memory of this machine.

    A KV cache of default size shrinks until all layers fit too, if the weights alone fit.

    Args:
        size: sizes of the model.
        sizes: weights of its layers.
        config: configuration of the engine.
        chosen: devices.
        available: available memory of this machine in bytes.
        compute: bytes of the compute buffers by device.

    Raises:
        ModelLoadError: the model does not fit, or the user's choice does not.
    """
    memories = [_memory(one, available, compute) for one in chosen]
    shared = {memory.name for memory in memories if memory.pool == HOST}
    room = _room(memories)
    weights = sizes.total
    fits = weights < room
    whole = replace(size, weights=weights)
    if fits:
        memory = plan_memory(whole, config, room, store=available)
    else:
        memory = plan_memory(whole, config, room + (0 if shared else available))
    while True:
        placement = place(sizes, memories, config.devices, kv_bytes_per_layer=_kv_of_layer(size, sizes, memory.cells))
        is_open = config.kv_memory is None and config.devices.gpu_layers is None
        if placement.is_complete or not (fits and is_open) or int(memory.cells * _SHRINK) < memory.context:
            break
        memory = replace(memory, cells=int(memory.cells * _SHRINK))
    here = placement.host_bytes + sum(placement.device_bytes.get(name, 0) for name in shared)
    if here > available:
        raise ModelLoadError(
            f"too little memory: {placement.on_devices} of {placement.layers} layers fit on the devices, and the model "
            f"takes {megabytes(here)} of this machine's memory, of which only {megabytes(available)} are free; "
            "ask for less with --context or --kv-memory, or take a smaller model"
        )
    return DevicePlan(memory, placement, offload_of(placement, config.devices))


def offload_of(placement: Placement, wish: DeviceSettings) -> Offload:
    """Return llama.cpp's parameters of a placement."""
    if not placement.on_devices:
        return ON_HOST
    names = tuple(placement.counts)
    return Offload(
        devices=names,
        layers=placement.on_devices,
        shares=tuple(float(count) for count in placement.counts.values()) if len(names) > 1 else (),
        split_mode=wish.split_mode,
        main_device=names.index(wish.main_device) if wish.main_device in names else 0,
        experts_on_host=wish.cpu_moe,
    )


def _kv_of_layer(size: ModelSize, sizes: LayerSizes, cells: int) -> int:
    return cells * size.kv_bytes_per_token // max(1, len(sizes.layers))


def _pool(device: Device) -> str:
    """Return the memory of a device. Apple's GPUs count as GPUs in ggml, and share the memory of the machine."""
    return HOST if device.kind == "integrated" or device.backend in _UNIFIED else device.name


def _memory(one: ChosenDevice, available: int, compute: Mapping[str, int]) -> DeviceMemory:
    free = min(one.device.free, available) if one.pool == HOST else one.device.free
    return DeviceMemory(one.device.name, free, one.pool, compute.get(one.device.name, 0))


def _room(memories: Sequence[DeviceMemory]) -> int:
    """Return the free memory of all pools together, without the compute buffers."""
    pools = {memory.pool: memory.free for memory in memories}
    return sum(pools.values()) - sum(memory.overhead for memory in memories)
