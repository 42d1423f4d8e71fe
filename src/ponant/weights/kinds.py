"""What models are for, by their files."""

from typing import Literal

from ponant.prompts.vocabulary import Vocabulary

Kind = Literal["chat", "fim", "embed"]
"""What a model is for: conversations (and code), code alone, or embeddings."""

CHAT_TEMPLATE = "tokenizer.chat_template"
"""Where a file has the model's chat template."""

_NO_POOLING = ("0", "4294967295")


def kind_of(vocabulary: Vocabulary) -> Kind:
    """What a model is for: with pooling, for embeddings; with tokens to fill in the middle and no chat, for that."""
    metadata = vocabulary.metadata
    architecture = metadata.get("general.architecture", "")
    pools = metadata.get(f"{architecture}.pooling_type", "0") not in _NO_POOLING
    if pools or "bert" in architecture or architecture.endswith("embedding"):
        return "embed"
    return "fim" if CHAT_TEMPLATE not in metadata and vocabulary.fim_tokens else "chat"
