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
class Window(Generic[Content]):
    """A text, or a part of one, that is embedded at once; ``tokens`` has those that the model adds around it."""

    content: Content
    tokens: int


@dataclass(frozen=True, slots=True)
class PreparedText(Generic[Content]):
    """A text in windows, without any if it is too long.

    ``tokens`` counts the whole text. If the text is too long, that is a lower bound unless it is ``exact``.
    """

    windows: tuple[Window[Content], ...]
    tokens: int
    exact: bool = True


class EmbeddingModel(Protocol[Content]):
    """A loaded model."""

    @property
    def info(self) -> EmbedderInfo:
        """Sizes of the model."""
        ...

    def prepare(self, text: EmbeddingText) -> PreparedText[Content]:
        """Count the tokens of a text, and split or cut it as the model is configured to."""
        ...

    def embed(self, windows: Sequence[Window[Content]]) -> "NDArray[np.float32]":
        """Embed windows. Returns unit vectors, shape (windows, dimensions), which may contain NaN."""
        ...
