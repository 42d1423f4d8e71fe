"""llama.cpp, through the low-level C API of llama-cpp-python.

Only this file, ``llamacpp_embeddings`` and ``requantize`` touch that API.
Mistakes in C calls end the process, so everything is checked here before it is passed on.
"""

import ctypes
import os
import re
from collections.abc import Sequence as Rows
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.engine.adapter_file import check_adapter_file
from ponant.engine.base import AdapterError, KVType, ModelLoadError
from ponant.engine.bindings import c
from ponant.engine.memory import ModelSize, model_size

_GGUF_MAGIC = b"GGUF"
_KV_TYPES: dict[KVType, int] = {"f16": 1, "f32": 0}
_LOG_LEVEL_ERROR = 4
MOST_SLOTS = 256
"""How many sequences llama.cpp can tell apart."""
_errors: list[str] = []


class KVCacheFullError(Exception):
    """The batch did not fit into the KV cache; nothing of it was computed."""


def _keep_errors(level: int, text: bytes, _: Any) -> None:
    if level == _LOG_LEVEL_ERROR:
        _errors.append(text.decode("utf-8", "replace").strip())
        del _errors[:-20]


_log = c.llama_log_callback(_keep_errors)
c.llama_log_set(_log, ctypes.c_void_p(0))
c.llama_backend_init()


def check_model_file(path: Path) -> None:
    """Raise ModelLoadError unless there is a readable GGUF file."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except FileNotFoundError:
        raise ModelLoadError(f"there is no file {path}") from None
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror}") from None
    if magic != _GGUF_MAGIC:
        raise ModelLoadError(f"{path} is not a GGUF file")


def load_model(path: Path, *, vocab_only: bool) -> Any:
    """llama.cpp's handle of a model. Raises ModelLoadError."""
    check_model_file(path)
    params = c.llama_model_default_params()
    params.vocab_only = vocab_only
    _errors.clear()
    model = c.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise ModelLoadError(f"cannot load {path}: {_first_error('llama.cpp does not say why')}")
    return model


def new_context(model: Any, params: Any) -> Any:
    """llama.cpp's handle of a context of a model. Raises ModelLoadError."""
    _errors.clear()
    context = c.llama_init_from_model(model, params)
    if not context:
        raise ModelLoadError(f"cannot run the model: {_first_error('not enough memory')}")
    return context


def _first_error(default: str) -> str:
    return next(iter(_errors), default)


def read_metadata(model: Any) -> dict[str, str]:
    """The key-value pairs of a model's file, as text."""
    buffer = ctypes.create_string_buffer(4096)

    def read(function: Any, index: int) -> str:
        length = function(model, index, buffer, len(buffer))
        if length >= len(buffer):
            large = ctypes.create_string_buffer(length + 1)
            function(model, index, large, len(large))
            return large.value.decode("utf-8", "replace")
        return buffer.value.decode("utf-8", "replace")

    return {
        read(c.llama_model_meta_key_by_index, index): read(c.llama_model_meta_val_str_by_index, index)
        for index in range(c.llama_model_meta_count(model))
    }


@cache
def _file_types() -> dict[str, str]:
    """The names of formats by the numbers that GGUF files have for them."""
    prefix = re.compile("LLAMA_FTYPE_(?:MOSTLY_|ALL_)?")
    names = [name for name in dir(c) if prefix.match(name)]
    return {str(getattr(c, name)): prefix.sub("", name) for name in names}


class Vocabulary:
    """A model's tokens, opened without its weights. Safe to use from several threads at once.

    Attributes:
        metadata: the key-value pairs of the GGUF file, as text, without those that are lists.
        size: number of tokens.
        end_tokens: tokens that end a completion.
        parameters: how many parameters the weights have.
        weights: the bytes that they take.
    """

    def __init__(self, path: Path) -> None:
        """Raises ModelLoadError if there is no such file or it is no model."""
        self._model = load_model(path, vocab_only=True)
        self._vocab: Any = c.llama_model_get_vocab(self._model)
        self.metadata = read_metadata(self._model)
        self.size: int = c.llama_vocab_n_tokens(self._vocab)
        self.end_tokens = end_tokens(self._vocab)
        self.parameters: int = c.llama_model_n_params(self._model)
        self.weights: int = c.llama_model_size(self._model)
        self._pieces: dict[int, bytes] = {}

    def close(self) -> None:
        """Free the memory. Nothing else may be called after this."""
        c.llama_model_free(self._model)

    @property
    def quantization(self) -> str | None:
        """The format of most of the weights by its usual name, such as ``Q4_K_M``; None if the file does not say."""
        return _file_types().get(self.metadata.get("general.file_type", ""))

    @property
    def adds_bos(self) -> bool:
        """Whether prompts begin with the beginning-of-sequence token."""
        return bool(c.llama_vocab_get_add_bos(self._vocab))

    @property
    def bos(self) -> int | None:
        """The beginning-of-sequence token."""
        token: int = c.llama_vocab_bos(self._vocab)
        return token if token >= 0 else None

    @property
    def eos(self) -> int | None:
        """The end-of-sequence token."""
        token: int = c.llama_vocab_eos(self._vocab)
        return token if token >= 0 else None

    @property
    def fim_tokens(self) -> tuple[int, int, int] | None:
        """The tokens before the text before, the text after and the middle, for filling it in; None if one is missing.

        They are those that the file names, or else those that llama.cpp knows by how they are written.
        """
        before: int = c.llama_vocab_fim_pre(self._vocab)
        after: int = c.llama_vocab_fim_suf(self._vocab)
        middle: int = c.llama_vocab_fim_mid(self._vocab)
        return (before, after, middle) if min(before, after, middle) >= 0 else None

    def text(self, token: int | None) -> str:
        """A token as it is written in the vocabulary: ``<|im_end|>``; empty for None."""
        return "" if token is None else c.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace")

    def control_tokens(self) -> dict[str, int]:
        """The control tokens by how they are written, the texts that ``tokenize`` reads as such."""
        return self._tokens_that_are(c.LLAMA_TOKEN_ATTR_CONTROL | c.LLAMA_TOKEN_ATTR_UNKNOWN)

    def user_defined_tokens(self) -> dict[str, int]:
        """The tokens that ``tokenize`` reads in any text before all others, by how they are written.

        They stand for their text: Qwen's ``<tool_call>``, runs of spaces in some vocabularies.
        """
        return self._tokens_that_are(c.LLAMA_TOKEN_ATTR_USER_DEFINED)

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """The text's tokens, without any that begin or end a sequence.

        Args:
            control: whether text that reads like a control token becomes that token. What reads like a user-defined
                one becomes it in any case.
        """
        return tokenize(self._vocab, text, control=control)

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for: possibly part of a character, and nothing for a control token."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token)
        return piece

    def longest_piece(self) -> int:
        """Length in bytes of the longest token."""
        return max(len(c.llama_vocab_get_text(self._vocab, token)) for token in range(self.size))

    def _tokens_that_are(self, attributes: int) -> dict[str, int]:
        """The tokens with one of these attributes, by how they are written."""
        tokens = range(self.size)
        return {self.text(token): token for token in tokens if c.llama_vocab_get_attr(self._vocab, token) & attributes}

    def _read_piece(self, token: int) -> bytes:
        return _piece(self._vocab, token, control=False)


def tokenize(vocab: Any, text: str, *, control: bool = False, ends: bool = False) -> list[int]:
    """The text's tokens.

    Args:
        vocab: llama.cpp's handle of the vocabulary.
        text: what is tokenised.
        control: whether text that reads like a control token becomes that token.
        ends: whether the tokens that the model wants around a text come with them.
    """
    data = text.encode("utf-8", "replace")
    room = len(data) + 8
    buffer = np.empty(room, dtype=np.int32)
    pointer = buffer.ctypes.data_as(ctypes.POINTER(c.llama_token))
    count = c.llama_tokenize(vocab, data, len(data), pointer, room, ends, control)
    if count < 0:
        raise ValueError("the text has more tokens than bytes")
    tokens: list[int] = buffer[:count].tolist()
    return tokens


def _piece(vocab: Any, token: int, *, control: bool) -> bytes:
    """The bytes of a token; ``control``: also of those that stand for no text."""
    buffer = ctypes.create_string_buffer(64)
    length = c.llama_token_to_piece(vocab, token, buffer, len(buffer), 0, control)
    if length < 0:
        buffer = ctypes.create_string_buffer(-length)
        length = c.llama_token_to_piece(vocab, token, buffer, len(buffer), 0, control)
    return buffer.raw[:length]


TOKENIZE_ADDRESS = ctypes.cast(c.llama_tokenize, ctypes.c_void_p).value
"""Where llama.cpp's function for tokenising is in memory, for libraries that call it themselves."""


def written_tokens(vocab: Any, *, control_mark: bytes) -> list[bytes]:
    """All tokens of a vocabulary as they are written, control tokens with a mark before them."""
    return [
        (control_mark if c.llama_vocab_get_attr(vocab, token) & c.LLAMA_TOKEN_ATTR_CONTROL else b"")
        + _piece(vocab, token, control=True)
        for token in range(c.llama_vocab_n_tokens(vocab))
    ]


def end_of_sequence(vocab: Any) -> int:
    """The end-of-sequence token of a vocabulary."""
    token: int = c.llama_vocab_eos(vocab)
    return token


def end_tokens(vocab: Any) -> frozenset[int]:
    """The tokens of a vocabulary that end a completion."""
    return frozenset(token for token in range(c.llama_vocab_n_tokens(vocab)) if c.llama_vocab_is_eog(vocab, token))


class Model:
    """Weights and, once ``open_context`` was called, a KV cache to compute with.

    Attributes:
        vocab: llama.cpp's handle of the vocabulary.
        vocabulary_size: number of logits per token.
        end_tokens: tokens that end a completion.
    """

    def __init__(self, path: Path) -> None:
        """Raises ModelLoadError if there is no such file or it is no model that can generate text."""
        self._model = load_model(path, vocab_only=False)
        if not c.llama_model_has_decoder(self._model):
            raise ModelLoadError(f"{path} is not a model that generates text")
        self.vocab: Any = c.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = c.llama_vocab_n_tokens(self.vocab)
        self.end_tokens = end_tokens(self.vocab)
        self._context: Any = None
        self._adapters: dict[str, Any] = {}
        self._adapter: str | None = None

    @property
    def can_share_cells(self) -> bool:
        """Whether a sequence can begin with part of another one: not with models that keep one running state."""
        return not (c.llama_model_is_recurrent(self._model) or c.llama_model_is_hybrid(self._model))

    def size(self, kv_type: KVType) -> ModelSize:
        """The sizes by which memory is planned."""
        return model_size(read_metadata(self._model), c.llama_model_size(self._model), kv_type)

    def open_context(
        self,
        *,
        cells: int,
        slots: int,
        batch_tokens: int,
        most_logits: int,
        threads: int,
        flash_attention: bool,
        kv_type: KVType,
        separate_streams: bool,
    ) -> None:
        """Allocate the KV cache and the buffers.

        Args:
            cells: the size of the KV cache in tokens.
            slots: how many sequences it can tell apart.
            batch_tokens: the most tokens that one ``decode`` may have.
            most_logits: the most tokens of which one ``decode`` may want the logits.
            separate_streams: whether each slot has cells of its own rather than sharing them with all.

        Raises:
            ModelLoadError: there is not enough memory.
        """
        params = c.llama_context_default_params()
        params.n_ctx = cells
        params.n_seq_max = slots
        params.n_batch = params.n_ubatch = batch_tokens
        params.n_outputs_max = params.n_outputs_max_per_seq = max(most_logits, slots)  # llama.cpp wants as many
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = (
            c.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash_attention else c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.type_k = params.type_v = _KV_TYPES[kv_type]
        params.kv_unified = not separate_streams
        self._context = new_context(self._model, params)
        self._memory: Any = c.llama_get_memory(self._context)
        self._batch = Batch(batch_tokens)
        self._slots = slots
        self._most_logits = most_logits

    def decode(self, chunks: Rows[tuple[int, int, Rows[int], int]]) -> NDArray[np.float32]:
        """Compute tokens in one batch.

        Args:
            chunks: for each its slot, the position of its first token, its tokens, and of how many of the last ones
                the logits are wanted.

        Returns:
            The logits wanted, in the order of the tokens: (tokens that want them, vocabulary size). A view that the
            next call overwrites; it may be written to.

        Raises:
            KVCacheFullError: nothing was computed.
        """
        rows = self._batch.fill(chunks, self._slots, self._most_logits, self.vocabulary_size)
        status: int = c.llama_decode(self._context, self._batch.struct)
        if status == 1:
            raise KVCacheFullError
        if status != 0:
            raise RuntimeError(f"llama_decode failed with status {status}")
        if not rows:
            return np.empty((0, self.vocabulary_size), dtype=np.float32)
        return np.ctypeslib.as_array(c.llama_get_logits(self._context), (rows, self.vocabulary_size))

    def has_adapter(self, adapter_id: str) -> bool:
        """Whether an adapter of this id is loaded."""
        return adapter_id in self._adapters

    def add_adapter(self, adapter_id: str, path: Path) -> None:
        """Load a LoRA adapter in llama.cpp's GGUF format. Raises AdapterError if it is none for this model."""
        check_adapter_file(path, read_metadata(self._model).get("general.architecture", ""))
        _errors.clear()
        adapter = c.llama_adapter_lora_init(self._model, os.fsencode(path))
        if not adapter:
            reason = next(iter(_errors), "llama.cpp does not say why").rpartition("lora adapter: ")[2]
            raise AdapterError(f"cannot load the adapter {path}: {reason}")
        self._adapters[adapter_id] = adapter

    def remove_adapter(self, adapter_id: str) -> None:
        """Unload an adapter; one that is not loaded is ignored."""
        if self._adapter == adapter_id:
            self.use_adapter(None)
        if adapter := self._adapters.pop(adapter_id, None):
            c.llama_adapter_lora_free(adapter)

    def use_adapter(self, adapter_id: str | None) -> None:
        """Compute with an adapter from now on, or with none. What each slot holds must come from one and the same."""
        if adapter_id == self._adapter:
            return
        used = [] if adapter_id is None else [self._adapters[adapter_id]]
        pointers = (c.llama_adapter_lora_p_ctypes * len(used))(*used)
        scales = (ctypes.c_float * len(used))(*[1.0] * len(used))
        if c.llama_set_adapters_lora(self._context, pointers or None, len(used), scales or None) != 0:
            raise RuntimeError(f"llama.cpp cannot use the adapter {adapter_id}")
        self._adapter = adapter_id

    def empty_slot(self, slot: int) -> None:
        """Forget everything that was computed in a slot."""
        self._check_slot(slot)
        c.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def trim_slot(self, slot: int, length: int) -> None:
        """Forget what was computed in a slot beyond its first ``length`` tokens."""
        self._check_slot(slot)
        if not c.llama_memory_seq_rm(self._memory, slot, length, -1):
            raise RuntimeError("this model cannot forget part of a sequence")

    def share_cells(self, source: int, target: int, length: int) -> None:
        """Give an empty slot the first ``length`` tokens of another one. Not for separate streams."""
        self._check_slot(source)
        self._check_slot(target)
        c.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def empty_all(self) -> None:
        """Forget everything, and overwrite it: not a number that was ever computed stays."""
        c.llama_memory_clear(self._memory, True)

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self._slots:
            raise ValueError(f"no such slot: {slot}")


class Batch:
    """The arrays of a ``llama_batch``, owned by numpy: ``struct`` is what llama.cpp gets."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._tokens = np.zeros(capacity, dtype=np.int32)
        self._positions = np.zeros(capacity, dtype=np.int32)
        self._slot_counts = np.ones(capacity, dtype=np.int32)
        self._slots = np.zeros(capacity, dtype=np.int32)
        self._wanted = np.zeros(capacity, dtype=np.int8)
        pointer = ctypes.POINTER(c.llama_seq_id)
        first: int = self._slots.ctypes.data
        pointers = [ctypes.cast(first + 4 * index, pointer) for index in range(capacity)]
        self._slot_pointers = (pointer * capacity)(*pointers)
        self.struct = c.llama_batch(
            n_tokens=0,
            token=self._tokens.ctypes.data_as(ctypes.POINTER(c.llama_token)),
            embd=None,
            pos=self._positions.ctypes.data_as(ctypes.POINTER(c.llama_pos)),
            n_seq_id=self._slot_counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            seq_id=self._slot_pointers,
            logits=self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(
        self, chunks: Rows[tuple[int, int, Rows[int], int]], slots: int, most_logits: int, vocabulary_size: int
    ) -> int:
        """Take the chunks; returns how many rows of logits they want. Raises ValueError if llama.cpp would abort."""
        end = rows = 0
        for slot, position, tokens, wanted in chunks:
            start, end = end, end + len(tokens)
            if end > self._capacity or not 0 <= wanted <= len(tokens) > 0 or position < 0 or not 0 <= slot < slots:
                raise ValueError(f"impossible batch: slot {slot}, position {position}, {end} tokens so far")
            self._tokens[start:end] = tokens
            self._positions[start:end] = np.arange(position, position + len(tokens))
            self._slots[start:end] = slot
            self._wanted[start:end] = 0
            self._wanted[end - wanted : end] = 1
            rows += wanted
        used = self._tokens[:end]
        if not end or used.min() < 0 or used.max() >= vocabulary_size or rows > most_logits:
            raise ValueError("impossible batch: empty, with too many logits or a token that the model does not have")
        self.struct.n_tokens = end
        return rows
