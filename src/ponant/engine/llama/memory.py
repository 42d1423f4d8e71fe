"""Division of memory between weights, KV cache and prefix store."""

from dataclasses import dataclass

from ponant.engine.llama.config import EngineConfig
from ponant.errors import ModelLoadError
from ponant.llamacpp.memory import ModelSize
from ponant.machine import SPARE_MEMORY
from ponant.sizes import megabytes

_USUAL_KV_MEMORY = 512 * 2**20
"""Default size of the KV cache in bytes, unless the context needs more."""
_SHARE_FOR_CONTEXT = 0.25
"""Largest default size of the KV cache, as a share of the free memory."""
_SHARE_OF_DEVICE_FOR_CONTEXT = 0.9
"""The same on devices, whose memory no other program needs."""
_USUAL_SHARE_OF_DEVICE = 0.5
"""Default size of the KV cache on devices, as a share of their free memory, unless the context needs more."""
_SHARE_FOR_PREFIXES = 0.5
"""Default size of the prefix store, as a share of the KV cache's size."""
_SMALLEST_CONTEXT = 128


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Sizes of an engine.

    Attributes:
        context: longest sequence in tokens.
        cells: size of the KV cache in tokens.
        parallel: number of sequences that run at once.
        kept: size of the prefix store in tokens.
    """

    context: int
    cells: int
    parallel: int
    kept: int = 0


def plan_memory(model: ModelSize, config: EngineConfig, available: int, *, store: int | None = None) -> MemoryPlan:
    """Choose the sizes that the configuration leaves open.

    Args:
        model: sizes of the model.
        config: configuration of the engine.
        available: available memory in bytes, of devices if there are any, else of this machine.
        store: memory of this machine for the prefix store, in bytes, if ``available`` is the memory of devices.

    Raises:
        ModelLoadError: the configuration does not fit the model or the memory.
    """
    if config.context is not None and config.context > model.context:
        raise ModelLoadError(f"a context of {config.context} tokens is longer than the model's own, {model.context}")
    free = available - model.weights - SPARE_MEMORY
    per_token = model.kv_bytes_per_token
    if config.kv_memory is not None:
        cells = config.kv_memory // per_token
        context = config.context or min(model.context, cells)
        if cells < max(context, _SMALLEST_CONTEXT):
            needed = max(context, _SMALLEST_CONTEXT) * per_token
            raise ModelLoadError(
                f"{megabytes(config.kv_memory)} of KV memory hold {cells} tokens; "
                f"a context of {max(context, _SMALLEST_CONTEXT)} needs {megabytes(needed)}"
            )
    else:
        on_devices = store is not None
        affordable = int(free * (_SHARE_OF_DEVICE_FOR_CONTEXT if on_devices else _SHARE_FOR_CONTEXT)) // per_token
        usual = (int(free * _USUAL_SHARE_OF_DEVICE) if on_devices else _USUAL_KV_MEMORY) // per_token
        context = config.context or max(min(model.context, affordable), min(model.context, _SMALLEST_CONTEXT))
        cells = max(context, min(config.parallel * context, usual, affordable))
    if cells * per_token > free:
        raise ModelLoadError(
            f"too little memory: the weights take {megabytes(model.weights)} and a KV cache of {cells} tokens "
            f"{megabytes(cells * per_token)}, but only {megabytes(available)} are free; "
            "ask for less with --context or --kv-memory, or take a smaller model"
        )
    if not config.deterministic:
        room = free if store is None else cells * per_token + max(0, store - SPARE_MEMORY)
        return MemoryPlan(context, cells, config.parallel, _kept(config, cells, per_token, room))
    parallel = max(1, min(config.parallel, cells // context))
    return MemoryPlan(context, parallel * context, parallel)


def expected_memory(model: ModelSize, config: EngineConfig) -> int:
    """Return the bytes of the weights, the KV cache and the prefix store, given enough memory."""
    per_token = model.kv_bytes_per_token
    if config.kv_memory is not None:
        cells = config.kv_memory // per_token
    else:
        context = config.context or model.context
        cells = max(context, min(config.parallel * context, _USUAL_KV_MEMORY // per_token))
    return model.weights + (cells + _kept(config, cells, per_token, 2 * cells * per_token)) * per_token


def _kept(config: EngineConfig, cells: int, bytes_per_token: int, free: int) -> int:
    """Return the size in tokens of the prefix store of a KV cache of ``cells`` tokens, with ``free`` bytes for both."""
    if config.deterministic or not config.prefix_cache:
        return 0
    if config.prefix_memory is not None:
        return config.prefix_memory // bytes_per_token
    return min(int(cells * _SHARE_FOR_PREFIXES), free // bytes_per_token - cells)
