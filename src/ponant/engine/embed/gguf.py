"""Embedding models in GGUF files, through llama.cpp, with the pooling that the file names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.engine.embed.base import USUAL_CONTEXT, EmbedderConfig, EmbedderInfo
from ponant.engine.embed.model import FIRST_COUNTED, Prepared
from ponant.engine.embed.vectors import normalized
from ponant.errors import ModelLoadError
from ponant.llamacpp.bindings import c
from ponant.llamacpp.handles import load_model, new_context
from ponant.llamacpp.model import Batch
from ponant.llamacpp.vocabulary import tokenize
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
        path = Path(config.model_path or "")
        model = load_model(path, vocab_only=False)
        own_context: int = c.llama_model_n_ctx_train(model)
        context = config.context or min(own_context, USUAL_CONTEXT)
        if context > own_context:
            raise ModelLoadError(f"a context of {context} tokens is longer than the model's own, {own_context}")
        threads = config.threads or default_threads()
        capacity = max(context, most_tokens)
        params = c.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = capacity
        params.n_outputs_max = params.n_outputs_max_per_seq = capacity
        params.n_seq_max = most_texts
        params.n_threads = params.n_threads_batch = threads
        params.embeddings = True
        params.kv_unified = True
        self._context = new_context(model, params)
        self._check_pooling(path)
        self._memory: Any = c.llama_get_memory(self._context)
        self._compute: Any = (
            c.llama_encode
            if c.llama_model_has_encoder(model) and not c.llama_model_has_decoder(model)
            else c.llama_decode
        )
        self._vocab: Any = c.llama_model_get_vocab(model)
        self._vocabulary_size: int = c.llama_vocab_n_tokens(self._vocab)
        self._before, self._after = self._ends()
        self._batch = Batch(capacity)
        self._capacity = capacity
        self._most_texts = most_texts
        self._truncate = config.truncate
        self.info = EmbedderInfo(c.llama_model_n_embd_out(model), context, c.llama_model_size(model), threads)

    def prepare(self, text: str) -> Prepared[list[int]]:
        """Tokenise a text, and truncate it if the model is configured to."""
        room = self.info.context - len(self._before) - len(self._after)
        tokens = tokenize(self._vocab, text[:FIRST_COUNTED])
        is_whole = len(text) <= FIRST_COUNTED
        if len(tokens) <= room and not is_whole:
            tokens, is_whole = tokenize(self._vocab, text), True
        if self._truncate:
            del tokens[room:]
        tokens = [*self._before, *tokens, *self._after]
        return Prepared(tokens, len(tokens), exact=is_whole)

    def embed(self, texts: Sequence[Prepared[list[int]]]) -> NDArray[np.float32]:
        """Embed texts that fit the context; see ``EmbeddingModel.embed``."""
        chunks = [(slot, 0, text.content, text.tokens) for slot, text in enumerate(texts)]
        self._batch.fill(chunks, self._most_texts, self._capacity, self._vocabulary_size)
        status: int = self._compute(self._context, self._batch.struct)
        if status != 0:
            raise RuntimeError(f"llama.cpp failed with status {status}")
        vectors = normalized(np.stack([self._read(slot) for slot in range(len(texts))]))
        if self._memory:
            # NaN would stay in the KV cache and spread to the next batch, so its cells are overwritten.
            c.llama_memory_clear(self._memory, not np.isfinite(vectors).all())
        return vectors

    def _read(self, slot: int) -> NDArray[np.float32]:
        pointer = c.llama_get_embeddings_seq(self._context, slot)
        if not pointer:
            raise RuntimeError("llama.cpp gave no embedding")
        return np.ctypeslib.as_array(pointer, (self.info.dimensions,))

    def _check_pooling(self, path: Path) -> None:
        pooling: int = c.llama_pooling_type(self._context)
        if pooling == c.LLAMA_POOLING_TYPE_RANK:
            raise ModelLoadError(f"{path} is a model that ranks texts, not one that embeds them")
        if pooling == c.LLAMA_POOLING_TYPE_NONE:
            raise ModelLoadError(f"{path} is not an embedding model: the file does not say how to pool")

    def _ends(self) -> tuple[list[int], list[int]]:
        """Return the tokens that the tokenizer adds before and after a text."""
        whole, plain = tokenize(self._vocab, "a", ends=True), tokenize(self._vocab, "a")
        for start in range(len(whole) - len(plain) + 1):
            if whole[start : start + len(plain)] == plain:
                return whole[:start], whole[start + len(plain) :]
        raise ModelLoadError("the model's tokenizer has no plain way to begin and end a text")
