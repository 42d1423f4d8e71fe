"""Embedding model that computes nothing: every text has the same vector."""

from collections.abc import Sequence

import numpy as np

from ponant.engine.base import BackendState
from ponant.engine.embed.base import (
    LONGEST_TEXT,
    EmbedderConfig,
    EmbedderInfo,
    EmbeddingText,
    InputTooLongError,
    TextVectors,
)

DIMENSIONS = 16


class ScriptedEmbedder:
    """``Embedder`` whose tokens are the characters of a text."""

    def __init__(self, _config: EmbedderConfig) -> None:
        self._state: BackendState = "starting"

    @property
    def state(self) -> BackendState:
        """State."""
        return self._state

    @property
    def last_error(self) -> str | None:
        """None, as it never fails."""
        return None

    @property
    def busy(self) -> bool:
        """False, as it never waits."""
        return False

    @property
    def waiting(self) -> int:
        """Zero, as it has no queue."""
        return 0

    @property
    def memory(self) -> int:
        """A small size in bytes."""
        return 2**20

    @property
    def info(self) -> EmbedderInfo:
        """Sizes."""
        return EmbedderInfo(DIMENSIONS, LONGEST_TEXT, LONGEST_TEXT, 2**20, 1)

    @property
    def device(self) -> str:
        """Hardware that computes: none."""
        return "script"

    def describe(self, name: str) -> str:
        """Return the line of the start."""
        return f"Loaded {name} (scripted)"

    async def start(self) -> None:
        """Become ready."""
        self._state = "ready"

    async def stop(self) -> None:
        """Become stopped."""
        self._state = "stopped"

    async def embed(self, texts: Sequence[EmbeddingText]) -> TextVectors:
        """Return equal vectors. Raises InputTooLongError."""
        for index, text in enumerate(texts):
            if len(text) > LONGEST_TEXT:
                raise InputTooLongError(index, tokens=len(text), context=LONGEST_TEXT, exact=True)
        vectors = np.full((len(texts), DIMENSIONS), DIMENSIONS**-0.5, dtype=np.float32)
        return TextVectors(vectors, [len(text) for text in texts])
