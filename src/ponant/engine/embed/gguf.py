"""Embedding models in GGUF files, through llama.cpp, with the pooling that the file names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ponant.engine.embed.base import USUAL_CONTEXT, EmbedderConfig, EmbedderInfo, EmbeddingText
from ponant.engine.embed.model import FIRST_COUNTED, Prepared
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
        context = config.context or min(model.own_context, USUAL_CONTEXT)
        if context > model.own_context:
            raise ModelLoadError(f"a context of {context} tokens is longer than the model's own, {model.own_context}")
        threads = config.threads or default_threads()
        model.open_context(capacity=max(context, most_tokens), texts=most_texts, threads=threads)
        self._model = model
        self._truncate = config.truncate
        self.info = EmbedderInfo(
            model.dimensions, context, model.weights_memory, threads, vocabulary_size=model.vocabulary_size
        )

    def prepare(self, text: EmbeddingText) -> Prepared[list[int]]:
        """Tokenise a text, and truncate it if the model is configured to."""
        model = self._model
        room = self.info.context - len(model.before) - len(model.after)
        tokens, is_whole = self._tokens(text, room) if isinstance(text, str) else (self._inner(text), True)
        if self._truncate:
            del tokens[room:]
        tokens = [*model.before, *tokens, *model.after]
        return Prepared(tokens, len(tokens), exact=is_whole)

    def _tokens(self, text: str, room: int) -> tuple[list[int], bool]:
        """Return the tokens of a text, or of its beginning if that has more than ``room``, and True for all of them."""
        tokens = self._model.tokenize(text[:FIRST_COUNTED])
        is_whole = len(text) <= FIRST_COUNTED
        if len(tokens) <= room and not is_whole:
            return self._model.tokenize(text), True
        return tokens, is_whole

    def _inner(self, tokens: list[int]) -> list[int]:
        """Return the tokens of a text without those that the tokenizer adds around it, if it has them."""
        before, after = self._model.before, self._model.after
        start = len(before) if tokens[: len(before)] == before else 0
        end = len(tokens) - len(after) if after and tokens[start:][-len(after) :] == after else len(tokens)
        return tokens[start:end]

    def embed(self, texts: Sequence[Prepared[list[int]]]) -> NDArray[np.float32]:
        """Embed texts that fit the context; see ``EmbeddingModel.embed``."""
        return normalized(self._model.embed([text.content for text in texts]))
