"""What the worker of an embedder needs of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ponant.engine.embed.base import EmbedderInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIRST_COUNTED = 100_000
"""Characters of a text whose tokens are counted before the rest is: counting a megabyte takes a second."""

Content = TypeVar("Content")
"""What a model computes with: text, or tokens."""


@dataclass(frozen=True, slots=True)
class Prepared(Generic[Content]):
    """A text whose tokens were counted. If there are too many, ``exact`` tells whether all were."""

    content: Content
    tokens: int
    exact: bool = True


class EmbeddingModel(Protocol[Content]):
    """A loaded model."""

    @property
    def info(self) -> EmbedderInfo:
        """What the model has."""
        ...

    def prepare(self, text: str) -> Prepared[Content]:
        """Count a text's tokens, and cut it where the configuration says so."""
        ...

    def embed(self, texts: Sequence[Prepared[Content]]) -> "NDArray[np.float32]":
        """The vectors, of length 1, of texts that are not too long: (texts, dimensions). They may be not numbers."""
        ...
