"""Fingerprint of everything besides the request that answers depend on."""

import hashlib
from importlib.metadata import version

from ponant._version import __version__
from ponant.settings import Settings

_SETTINGS = {
    "models",
    "context",
    "kv_memory",
    "parallel",
    "threads",
    "prepare_weights",
    "prepare_for",
    "deterministic",
    "prefix_cache",
    "prefix_cache_memory",
    "drafting",
    "flash_attention",
    "kv_type",
    "safe_prompt",
}
"""Settings that can change the answer to a seeded request."""


def backend_fingerprint(settings: Settings) -> str:
    """Return a short text that changes with the versions, the models, and the settings that answers depend on."""
    parts = (__version__, version("llama-cpp-python"), settings.model_dump_json(include=_SETTINGS))
    return f"fp_{hashlib.blake2b(' '.join(parts).encode(), digest_size=5).hexdigest()}"
