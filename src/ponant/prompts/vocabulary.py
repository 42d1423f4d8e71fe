"""The vocabulary of a model, as far as prompts need it."""

from collections.abc import Collection
from typing import Protocol


class Vocabulary(Protocol):
    """Tokens and metadata of a model."""

    metadata: dict[str, str]
    end_tokens: frozenset[int]

    @property
    def size(self) -> int:
        """Number of tokens."""
        ...

    @property
    def adds_bos(self) -> bool:
        """True if prompts begin with the beginning-of-sequence token."""
        ...

    @property
    def bos(self) -> int | None:
        """Beginning-of-sequence token."""
        ...

    @property
    def eos(self) -> int | None:
        """End-of-sequence token."""
        ...

    @property
    def fim_tokens(self) -> tuple[int, int, int] | None:
        """Fill-in-the-middle tokens: prefix, suffix and middle; None if the model has none."""
        ...

    def text(self, token: int | None) -> str:
        """Return the text of a token, as vocabularies list it; empty for None."""
        ...

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token; empty for a control token."""
        ...

    def control_tokens(self) -> dict[str, int]:
        """Return the control tokens by their texts."""
        ...

    def user_defined_tokens(self) -> dict[str, int]:
        """Return the user-defined tokens by their texts: not control tokens, but read in any text before all others."""
        ...

    def written_like(self, texts: Collection[str]) -> frozenset[int]:
        """Return the tokens that have one of these texts."""
        ...

    def longest_piece(self) -> int:
        """Return the length of the longest token in bytes."""
        ...

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """Return the tokens of a text.

        Control token texts become control tokens if ``control`` is set. User-defined token texts always become those
        tokens.
        """
        ...


def is_mistral(vocabulary: Vocabulary) -> bool:
    """Return True if a model file looks like one of Mistral's."""
    template = vocabulary.metadata.get("tokenizer.chat_template", "")
    return vocabulary.metadata.get("tokenizer.ggml.pre") == "tekken" or "[INST]" in template
