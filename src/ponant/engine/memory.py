"""How long contexts may be and how large the KV cache is, given the memory there is; and how many threads compute."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from ponant.engine.base import EngineConfig, KVType, ModelLoadError

_USUAL_KV_MEMORY = 512 * 2**20
"""Bytes of KV cache taken when nothing was asked for and the context needs no more."""
_SHARE_FOR_CONTEXT = 0.25
"""Share of the free memory that the KV cache may take when nothing was asked for."""
SPARE_MEMORY = 256 * 2**20
"""Bytes left for buffers of the computation and for everything else."""
_SHARE_FOR_PREFIXES = 0.5
"""Memory for what finished sequences have computed, as a share of the KV cache's, when nothing was asked for."""
_SMALLEST_CONTEXT = 128
_BYTES_PER_VALUE: dict[KVType, int] = {"f16": 2, "f32": 4}


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What the plan must know of a model: its own context length in tokens, and bytes."""

    context: int
    weights: int
    kv_bytes_per_token: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The longest sequence, the size of the KV cache, how many sequences run at once, and how much is kept outside.

    All but ``parallel`` in tokens.
    """

    context: int
    cells: int
    parallel: int
    kept: int = 0


def plan(model: ModelSize, config: EngineConfig, available: int) -> Plan:
    """Choose what the configuration leaves open, within ``available`` bytes of memory.

    Raises:
        ModelLoadError: what was asked for cannot be had.
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
        affordable = int(free * _SHARE_FOR_CONTEXT) // per_token
        context = config.context or max(min(model.context, affordable), min(model.context, _SMALLEST_CONTEXT))
        cells = max(context, min(config.parallel * context, _USUAL_KV_MEMORY // per_token, affordable))
    if cells * per_token > free:
        raise ModelLoadError(
            f"too little memory: the weights take {megabytes(model.weights)} and a KV cache of {cells} tokens "
            f"{megabytes(cells * per_token)}, but only {megabytes(available)} are free; "
            "ask for less with --context or --kv-memory, or take a smaller model"
        )
    if not config.deterministic:
        return Plan(context, cells, config.parallel, _kept(config, cells, per_token, free))
    parallel = max(1, min(config.parallel, cells // context))
    return Plan(context, parallel * context, parallel)


def _kept(config: EngineConfig, cells: int, bytes_per_token: int, free: int) -> int:
    """How many tokens may be kept outside of a KV cache of ``cells`` tokens, with ``free`` bytes for both."""
    if config.deterministic or not config.prefix_cache:
        return 0
    if config.prefix_memory is not None:
        return config.prefix_memory // bytes_per_token
    return min(int(cells * _SHARE_FOR_PREFIXES), free // bytes_per_token - cells)


def model_size(metadata: Mapping[str, str], weights: int, kv_type: KVType) -> ModelSize:
    """The size of a model with this metadata of a GGUF file. The KV size of unusual layers is an upper bound."""
    architecture = metadata.get("general.architecture", "")

    def largest(key: str, default: int) -> int:
        numbers = metadata.get(f"{architecture}.{key}", "").strip("[]").split(",")
        return max((int(number) for number in numbers if number.strip().isdecimal()), default=default)

    heads = max(1, largest("attention.head_count", 1))
    head_length = largest("embedding_length", 0) // heads
    lengths = largest("attention.key_length", head_length) + largest("attention.value_length", head_length)
    values = largest("block_count", 0) * largest("attention.head_count_kv", heads) * lengths
    return ModelSize(largest("context_length", 0), weights, max(1, values * _BYTES_PER_VALUE[kv_type]))


def expected_memory(model: ModelSize, config: EngineConfig) -> int:
    """Bytes that the weights, the KV cache and what is kept outside of it will take if there is enough memory."""
    per_token = model.kv_bytes_per_token
    if config.kv_memory is not None:
        cells = config.kv_memory // per_token
    else:
        context = config.context or model.context
        cells = max(context, min(config.parallel * context, _USUAL_KV_MEMORY // per_token))
    return model.weights + (cells + _kept(config, cells, per_token, 2 * cells * per_token)) * per_token


def available_memory() -> int:
    """Bytes of memory that can be used now, within the limit of the control group where there is one."""
    available = psutil.virtual_memory().available
    limit, used = _read_bytes("memory.max"), _read_bytes("memory.current")
    return available if limit is None or used is None else min(available, limit - used)


def default_threads() -> int:
    """The physical cores that this process may use."""
    cores = psutil.cpu_count(logical=False) or 1
    return min(cores, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else cores


def megabytes(size: int) -> str:
    """A size in bytes as people read it: ``377 MB``, ``1.5 GB``."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"


def _read_bytes(name: str) -> int | None:
    try:
        return int(Path("/sys/fs/cgroup", name).read_text())
    except (OSError, ValueError):
        return None
