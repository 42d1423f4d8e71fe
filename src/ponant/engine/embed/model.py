"""The protocol of a model in the worker of an embedder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ponant.engine.embed.base import EmbedderInfo, EmbeddingText

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIRST_COUNTED = 100_000
"""Characters of a text to count first. Counting a megabyte takes a second, so a long text is refused by these."""

Content = TypeVar("Content")
"""Input of a model: text or token ids."""


@dataclass(frozen=True, slots=True)
class Prepared(Generic[Content]):
    """A text with the number of its tokens. A number above the context is a lower bound unless it is ``exact``."""

    content: Content
    tokens: int
    exact: bool = True


class EmbeddingModel(Protocol[Content]):
    """A loaded model."""

    @property
    def info(self) -> EmbedderInfo:
        """Sizes of the model."""
        ...

    def prepare(self, text: EmbeddingText) -> Prepared[Content]:
        """Count the tokens of a text, and truncate it if the model is configured to."""
        ...

    def embed(self, texts: Sequence[Prepared[Content]]) -> "NDArray[np.float32]":
        """Embed texts that fit the context. Returns unit vectors, shape (texts, dimensions), which may contain NaN."""
        ...
