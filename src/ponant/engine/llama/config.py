"""Configuration and sizes of a llama.cpp engine."""

import msgspec

from ponant.engine.llama.placement import ALL_DEVICES, DeviceSettings
from ponant.llamacpp.memory import KVType
from ponant.processes.core_lock import CoreSlot


class EngineConfig(msgspec.Struct, frozen=True):
    """Configuration of an engine. None leaves the choice to the engine.

    Attributes:
        model_path: GGUF file.
        context: longest sequence in tokens.
        kv_memory: size of the KV cache that all sequences share, in bytes.
        parallel: sequences that run at once.
        threads: compute threads.
        deterministic: results are independent of everything else that runs. It turns the prefix cache and drafting off.
        prefix_cache: prompts reuse the KV cache of others with the same beginning.
        prefix_memory: most memory for finished sequences outside of the KV cache, in bytes.
        drafting: predictions and repetitions of the prompt are verified several tokens at a time.
        flash_attention: attention is computed by the flash kernel.
        kv_type: number format of the KV cache.
        core_slot: slot of the lock that it shares with other workers on the same cores.
        adapters: number of LoRA adapters that can be loaded at once.
        devices: devices for the layers.
    """

    model_path: str
    context: int | None = None
    kv_memory: int | None = None
    parallel: int = 16
    threads: int | None = None
    deterministic: bool = False
    prefix_cache: bool = True
    prefix_memory: int | None = None
    drafting: bool = True
    flash_attention: bool = True
    kv_type: KVType = "f16"
    core_slot: CoreSlot | None = None
    adapters: int = 16
    devices: DeviceSettings = ALL_DEVICES


class DeviceUse(msgspec.Struct, frozen=True):
    """Use of a device by an engine.

    Attributes:
        name: name of the device.
        description: name of the product.
        layers: number of layers on the device.
        memory: memory that the engine takes there, in bytes.
        total: memory of the device in bytes.
        free_before: free memory before the model was loaded, in bytes.
        free_after: free memory after it, in bytes.
    """

    name: str
    description: str
    layers: int
    memory: int
    total: int
    free_before: int
    free_after: int


class EngineInfo(msgspec.Struct, frozen=True):
    """Sizes of a running engine: ``context`` and ``kv_cells`` in tokens, memory in bytes.

    ``host_memory`` is the part of weights and KV cache that lies in the memory of this machine.
    """

    context: int
    kv_cells: int
    kv_memory: int
    prefix_memory: int
    weights_memory: int
    parallel: int
    threads: int
    host_memory: int
    layers: int = 0
    devices: list[DeviceUse] = []
