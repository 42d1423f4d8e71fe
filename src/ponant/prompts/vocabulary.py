"""What a prompt must know of a model's tokens."""

from collections.abc import Collection
from typing import Protocol


class Vocabulary(Protocol):
    """What a prompt must know of a model's tokens."""

    metadata: dict[str, str]
    end_tokens: frozenset[int]

    @property
    def size(self) -> int:
        """Number of tokens."""
        ...

    @property
    def adds_bos(self) -> bool:
        """Whether prompts begin with the beginning-of-sequence token."""
        ...

    @property
    def bos(self) -> int | None:
        """The beginning-of-sequence token."""
        ...

    @property
    def eos(self) -> int | None:
        """The end-of-sequence token."""
        ...

    @property
    def fim_tokens(self) -> tuple[int, int, int] | None:
        """The tokens before the prompt, the suffix and the filling; None if the model has none."""
        ...

    def text(self, token: int | None) -> str:
        """A token as it is written; empty for None."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for, none for a control token."""
        ...

    def control_tokens(self) -> dict[str, int]:
        """The control tokens, by how they are written."""
        ...

    def user_defined_tokens(self) -> dict[str, int]:
        """Tokens that are read in any text before all others, though they are no control tokens."""
        ...

    def written_like(self, texts: Collection[str]) -> frozenset[int]:
        """The tokens that are written in one of these ways."""
        ...

    def longest_piece(self) -> int:
        """Length in bytes of the longest token."""
        ...

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """The text's tokens; text that reads like a control token becomes one if ``control`` is set.

        What reads like a user-defined token becomes one in any case.
        """
        ...


def is_mistral(vocabulary: Vocabulary) -> bool:
    """Whether the model seems to be one of Mistral's, by its file alone."""
    template = vocabulary.metadata.get("tokenizer.chat_template", "")
    return vocabulary.metadata.get("tokenizer.ggml.pre") == "tekken" or "[INST]" in template
