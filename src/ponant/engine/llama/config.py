"""How an engine of llama.cpp is to be run."""

import msgspec

from ponant.llamacpp.memory import KVType
from ponant.processes.core_lock import Place


class EngineConfig(msgspec.Struct, frozen=True):
    """How a model is to be run. ``None`` leaves the choice to the engine.

    ``context`` is the longest single sequence in tokens, ``kv_memory`` the bytes of KV cache that all sequences share,
    ``parallel`` how many sequences run at once. ``deterministic`` makes results independent of what else runs.
    ``prefix_cache`` lets prompts reuse what was computed for others that begin alike; ``prefix_memory`` is how many
    bytes outside of the KV cache that may take when nobody works with it. ``drafting`` lets predictions and
    repetitions of the prompt be verified several tokens at a time. ``deterministic`` goes without both. ``place`` is
    the engine's among those that take turns, as they share processor cores. ``adapters`` is how many adapters may be
    loaded at once.
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
    place: Place | None = None
    adapters: int = 16


class EngineInfo(msgspec.Struct, frozen=True):
    """What a running engine has: sizes in tokens (``context``, ``kv_cells``) and bytes."""

    context: int
    kv_cells: int
    kv_memory: int
    prefix_memory: int
    weights_memory: int
    parallel: int
    threads: int
