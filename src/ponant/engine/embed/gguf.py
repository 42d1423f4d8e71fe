"""Embedding models in GGUF files, through llama.cpp, with the pooling that the file names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponant.engine.embed.base import USUAL_CONTEXT, EmbedderConfig, EmbedderInfo, EmbeddingText, longest_text
from ponant.engine.embed.model import FIRST_COUNTED, PreparedText, Window
from ponant.engine.embed.vectors import normalized
from ponant.errors import ModelLoadError
from ponant.llamacpp.pooled import PooledModel
from ponant.machine import default_threads


class LlamaEmbeddings:
    """A loaded embedding model of llama.cpp."""

    def __init__(self, config: EmbedderConfig, *, most_tokens: int, most_texts: int) -> None:
        """Load the model.

        Args:
            config: configuration of the embedder.
            most_tokens: most tokens of a batch of several texts.
            most_texts: most texts of a batch.

        Raises:
            ModelLoadError: there is no such file, it is no embedding model, or there is too little memory.
        """
        model = PooledModel(Path(config.model_path or ""))
        window = config.context or min(model.own_context, USUAL_CONTEXT)
        if window > model.own_context:
            raise ModelLoadError(f"a context of {window} tokens is longer than the model's own, {model.own_context}")
        threads = config.threads or default_threads()
        model.open_context(capacity=max(window, most_tokens), texts=most_texts, threads=threads)
        self._model = model
        self._long_texts = config.long_texts
        self.info = EmbedderInfo(
            model.dimensions,
            longest_text(window, config.long_texts),
            window,
            model.weights_memory,
            threads,
            vocabulary_size=model.vocabulary_size,
        )

    def prepare(self, text: EmbeddingText) -> PreparedText[list[int]]:
        """Tokenise a text, and split or cut it; see ``EmbeddingModel.prepare``."""
        around = len(self._model.before) + len(self._model.after)
        room, longest = self.info.window - around, self.info.context - around
        tokens, is_whole = self._tokens(text, longest) if isinstance(text, str) else (self._inner(text), True)
        if self._long_texts == "truncate":
            del tokens[room:]
        windows = self._split(tokens, room) if len(tokens) <= longest and room > 0 else ()
        return PreparedText(windows, len(tokens) + around, exact=is_whole)

    def _tokens(self, text: str, longest: int) -> tuple[list[int], bool]:
        """Return the tokens of a text, or of its beginning if that has more than ``longest``, and True for all."""
        tokens = self._model.tokenize(text[:FIRST_COUNTED])
        is_whole = len(text) <= FIRST_COUNTED
        if len(tokens) <= longest and not is_whole:
            return self._model.tokenize(text), True
        return tokens, is_whole

    def _inner(self, tokens: list[int]) -> list[int]:
        """Return the tokens of a text without those that the tokenizer adds around it, if it has them."""
        before, after = self._model.before, self._model.after
        start = len(before) if tokens[: len(before)] == before else 0
        end = len(tokens) - len(after) if after and tokens[start:][-len(after) :] == after else len(tokens)
        return tokens[start:end]

    def _split(self, tokens: list[int], room: int) -> tuple[Window[list[int]], ...]:
        pieces = [tokens[begin : begin + room] for begin in range(0, max(1, len(tokens)), room)]
        contents = ([*self._model.before, *piece, *self._model.after] for piece in pieces)
        return tuple(Window(content, len(content)) for content in contents)

    def embed(self, windows: Sequence[Window[list[int]]]) -> NDArray[np.float32]:
        """Embed windows; see ``EmbeddingModel.embed``."""
        return normalized(self._model.embed([window.content for window in windows]))
