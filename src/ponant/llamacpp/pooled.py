"""Embedding models of llama.cpp: one vector per text, pooled from the vectors of its tokens."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.errors import ModelLoadError
from ponant.llamacpp.bindings import c
from ponant.llamacpp.handles import load_model, new_context
from ponant.llamacpp.model import Batch
from ponant.llamacpp.vocabulary import tokenize


class PooledModel:
    """Weights and, after ``open_context``, the buffers to compute vectors with.

    Attributes:
        vocabulary_size: number of token ids.
        own_context: longest text in tokens that the model was trained with.
        weights_memory: size of the weights in bytes.
        dimensions: length of a vector.
        before: tokens that the tokenizer adds before a text.
        after: tokens that the tokenizer adds after a text.
    """

    def __init__(self, path: Path) -> None:
        """Load the weights. Raises ModelLoadError if the file cannot be read."""
        self._path = path
        self._model = load_model(path, vocab_only=False)
        self._vocab: Any = c.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = c.llama_vocab_n_tokens(self._vocab)
        self.own_context: int = c.llama_model_n_ctx_train(self._model)
        self.weights_memory: int = c.llama_model_size(self._model)
        self.dimensions: int = c.llama_model_n_embd_out(self._model)

    def open_context(self, *, capacity: int, texts: int, threads: int) -> None:
        """Allocate the buffers.

        Args:
            capacity: most tokens of a batch.
            texts: most texts of a batch.
            threads: number of compute threads.

        Raises:
            ModelLoadError: there is too little memory, or the model does not embed texts.
        """
        params = c.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = capacity
        params.n_outputs_max = params.n_outputs_max_per_seq = capacity
        params.n_seq_max = texts
        params.n_threads = params.n_threads_batch = threads
        params.embeddings = True
        params.kv_unified = True
        self._context = new_context(self._model, params)
        self._check_pooling()
        self._memory: Any = c.llama_get_memory(self._context)
        self._compute: Any = (
            c.llama_encode
            if c.llama_model_has_encoder(self._model) and not c.llama_model_has_decoder(self._model)
            else c.llama_decode
        )
        self.before, self.after = self._ends()
        self._batch = Batch(capacity)
        self._capacity = capacity
        self._texts = texts

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text, without those that the tokenizer adds around it."""
        return tokenize(self._vocab, text)

    def embed(self, texts: Sequence[list[int]]) -> NDArray[np.float32]:
        """Return the vectors of tokenised texts that fit a batch together.

        Returns:
            Float32 of shape (texts, dimensions), not normalised.

        Raises:
            RuntimeError: llama.cpp failed.
        """
        chunks = [(slot, 0, tokens, len(tokens)) for slot, tokens in enumerate(texts)]
        self._batch.fill(chunks, self._texts, self._capacity, self.vocabulary_size)
        status: int = self._compute(self._context, self._batch.struct)
        if status != 0:
            raise RuntimeError(f"llama.cpp failed with status {status}")
        vectors = np.stack([self._read(slot) for slot in range(len(texts))])
        if self._memory:
            # NaN would stay in the KV cache and spread to the next batch, so its cells are overwritten.
            c.llama_memory_clear(self._memory, not np.isfinite(vectors).all())
        return vectors

    def _read(self, slot: int) -> NDArray[np.float32]:
        pointer = c.llama_get_embeddings_seq(self._context, slot)
        if not pointer:
            raise RuntimeError("llama.cpp gave no embedding")
        return np.ctypeslib.as_array(pointer, (self.dimensions,))

    def _check_pooling(self) -> None:
        pooling: int = c.llama_pooling_type(self._context)
        if pooling == c.LLAMA_POOLING_TYPE_RANK:
            raise ModelLoadError(f"{self._path} is a model that ranks texts, not one that embeds them")
        if pooling == c.LLAMA_POOLING_TYPE_NONE:
            raise ModelLoadError(f"{self._path} is not an embedding model: the file does not say how to pool")

    def _ends(self) -> tuple[list[int], list[int]]:
        """Return the tokens that the tokenizer adds before and after a text."""
        whole, plain = tokenize(self._vocab, "a", ends=True), tokenize(self._vocab, "a")
        for start in range(len(whole) - len(plain) + 1):
            if whole[start : start + len(plain)] == plain:
                return whole[:start], whole[start + len(plain) :]
        raise ModelLoadError("the model's tokenizer has no plain way to begin and end a text")
