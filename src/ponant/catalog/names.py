"""Mistral's public model names, as names of the served default models."""

import fnmatch
from collections.abc import Sequence

from ponant.weights.kinds import Kind

_EMBED = ("mistral-embed*", "codestral-embed*")
_OF_OTHER_KINDS = ("mistral-moderation*", "mistral-ocr*")
_CODE = ("codestral-*", "devstral-*")
_CHAT = (
    "mistral-*",
    "open-mistral-*",
    "open-mixtral-*",
    "ministral-*",
    "magistral-*",
    "pixtral-*",
    "mistralai/*",
)


def public_kind(name: str) -> Kind | None:
    """Return the kind of a public model; ``fim`` for chat models for code. None for other names."""
    if _matches(name, _OF_OTHER_KINDS):
        return None
    if _matches(name, _EMBED):
        return "embed"
    if _matches(name, _CODE):
        return "fim"
    return "chat" if _matches(name, _CHAT) else None


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
