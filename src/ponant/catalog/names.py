"""Mistral's own names of models, which stand for the models that are served here."""

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
    """What the model of this public name is for; ``fim`` for those that chat, but are best at code. None for others."""
    if _matches(name, _OF_OTHER_KINDS):
        return None
    if _matches(name, _EMBED):
        return "embed"
    if _matches(name, _CODE):
        return "fim"
    return "chat" if _matches(name, _CHAT) else None


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
