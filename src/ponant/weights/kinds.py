"""The kinds of models, detected from their files."""

from typing import Literal

from ponant.prompts.vocabulary import Vocabulary

Kind = Literal["chat", "fim", "embed"]
"""Task of a model: conversations (and code), code only, or embeddings."""

CHAT_TEMPLATE = "tokenizer.chat_template"
"""Metadata key of the chat template."""

_NO_POOLING = ("0", "4294967295")


def kind_of(vocabulary: Vocabulary) -> Kind:
    """Return the kind of a model: ``embed`` with pooling, ``fim`` with FIM tokens and no chat template."""
    metadata = vocabulary.metadata
    architecture = metadata.get("general.architecture", "")
    pools = metadata.get(f"{architecture}.pooling_type", "0") not in _NO_POOLING
    if pools or "bert" in architecture or architecture.endswith("embedding"):
        return "embed"
    return "fim" if CHAT_TEMPLATE not in metadata and vocabulary.fim_tokens else "chat"
