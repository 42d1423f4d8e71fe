"""Models of llama.cpp, through the low-level C API of llama-cpp-python.

Errors in C calls end the process, so arguments are checked here first.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponant.errors import ModelLoadError
from ponant.llamacpp.adapter_file import check_adapter_file
from ponant.llamacpp.bindings import c
from ponant.llamacpp.handles import compute_buffers, load_adapter, load_model, new_context, read_metadata
from ponant.llamacpp.memory import KVType, ModelSize, model_size
from ponant.llamacpp.offload import ON_HOST, Offload
from ponant.llamacpp.vocabulary import end_tokens

_KV_TYPES: dict[KVType, int] = {"f16": 1, "f32": 0, "q8_0": 8, "q4_0": 2}
_EXACT_KV_TYPES = ("f16", "f32")
_ROWS_WITHOUT_FLASH_ATTENTION = 128
"""Rows of a micro-batch without flash attention. Each row has a score per cell, and larger ones are no faster."""
_NO_END = 2**31 - 1
MOST_SLOTS = 256
"""Most sequences of a context."""


class KVCacheFullError(Exception):
    """Batch that does not fit into the KV cache. Nothing of it was computed."""


@dataclass(frozen=True, slots=True)
class ContextShape:
    """Sizes of a context.

    Attributes:
        cells: size of the KV cache in tokens.
        slots: number of sequences in the cache.
        batch_tokens: most tokens of a ``decode``.
        most_logits: most rows of logits of a ``decode``.
        threads: number of compute threads.
        flash_attention: compute attention with the flash kernel.
        kv_type: number format of the KV cache.
        separate_streams: give each slot cells of its own instead of sharing all cells.
    """

    cells: int
    slots: int
    batch_tokens: int
    most_logits: int
    threads: int
    flash_attention: bool
    kv_type: KVType
    separate_streams: bool


def measure_compute(path: Path, offload: Offload, shape: ContextShape) -> dict[str, int]:
    """Return the bytes of the compute buffers by device, without loading weights. Raises ModelLoadError."""
    model = load_model(path, vocab_only=False, offload=offload, no_weights=True)
    try:
        c.llama_free(new_context(model, _context_params(shape)))
        return compute_buffers()
    finally:
        c.llama_model_free(model)


def _context_params(shape: ContextShape) -> Any:
    params = c.llama_context_default_params()
    params.n_ctx = shape.cells
    params.n_seq_max = shape.slots
    params.n_batch = shape.batch_tokens
    params.n_ubatch = (
        shape.batch_tokens if shape.flash_attention else min(shape.batch_tokens, _ROWS_WITHOUT_FLASH_ATTENTION)
    )
    # llama.cpp wants as many outputs as sequences.
    params.n_outputs_max = params.n_outputs_max_per_seq = max(shape.most_logits, shape.slots)
    params.n_threads = params.n_threads_batch = shape.threads
    params.flash_attn_type = (
        c.LLAMA_FLASH_ATTN_TYPE_ENABLED if shape.flash_attention else c.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    params.type_k = params.type_v = _KV_TYPES[shape.kv_type]
    params.kv_unified = not shape.separate_streams
    return params


class Model:
    """Weights and, after ``open_context``, a KV cache.

    Attributes:
        vocab: llama.cpp's handle of the vocabulary.
        vocabulary_size: number of logits per token.
        end_tokens: tokens that end a completion.
    """

    def __init__(self, path: Path, offload: Offload = ON_HOST) -> None:
        """Load the weights. Raises ModelLoadError if the file is not a model that generates text."""
        self._model = load_model(path, vocab_only=False, offload=offload)
        if not c.llama_model_has_decoder(self._model):
            raise ModelLoadError(f"{path} is not a model that generates text")
        self.vocab: Any = c.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = c.llama_vocab_n_tokens(self.vocab)
        self.end_tokens = end_tokens(self.vocab)
        self._context: Any = None
        self._adapters: dict[str, Any] = {}
        self._adapter: str | None = None

    @property
    def can_overwrite(self) -> bool:
        """True if a saved slot can be made finite. The scales of quantized formats have no fixed place in it."""
        return self._kv_type in _EXACT_KV_TYPES

    @property
    def can_share_cells(self) -> bool:
        """True if a sequence can share a prefix of another one, unlike with recurrent models."""
        return not (c.llama_model_is_recurrent(self._model) or c.llama_model_is_hybrid(self._model))

    def size(self, kv_type: KVType) -> ModelSize:
        """Return the sizes of the model with a number format of the KV cache."""
        return model_size(read_metadata(self._model), c.llama_model_size(self._model), kv_type)

    def open_context(self, shape: ContextShape) -> None:
        """Allocate the KV cache and the buffers. Raises ModelLoadError if there is not enough memory."""
        self._context = new_context(self._model, _context_params(shape))
        self._memory: Any = c.llama_get_memory(self._context)
        self._batch = Batch(shape.batch_tokens)
        self._slots = shape.slots
        self._kv_type: KVType = shape.kv_type
        self._most_logits = shape.most_logits

    def decode(self, chunks: Sequence[tuple[int, int, Sequence[int], int]]) -> NDArray[np.float32]:
        """Compute tokens in one batch.

        Args:
            chunks: slot, position of the first token, tokens, and number of the last tokens whose logits are wanted.

        Returns:
            Wanted logits in the order of the tokens, float32, shape (wanted tokens, vocabulary size). It is a writable
            view that the next call overwrites.

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
        """True if an adapter with this id is loaded."""
        return adapter_id in self._adapters

    def add_adapter(self, adapter_id: str, path: Path) -> None:
        """Load a LoRA adapter in llama.cpp's GGUF format. Raises AdapterError if it does not fit the model."""
        check_adapter_file(path, read_metadata(self._model).get("general.architecture", ""))
        self._adapters[adapter_id] = load_adapter(self._model, path)

    def remove_adapter(self, adapter_id: str) -> None:
        """Unload an adapter. An unknown id is ignored."""
        if self._adapter == adapter_id:
            self.use_adapter(None)
        if adapter := self._adapters.pop(adapter_id, None):
            c.llama_adapter_lora_free(adapter)

    def use_adapter(self, adapter_id: str | None) -> None:
        """Compute with an adapter, or with none, from now on. Each slot may only hold tokens of a single adapter."""
        if adapter_id == self._adapter:
            return
        used = [] if adapter_id is None else [self._adapters[adapter_id]]
        pointers = (c.llama_adapter_lora_p_ctypes * len(used))(*used)
        scales = (ctypes.c_float * len(used))(*[1.0] * len(used))
        if c.llama_set_adapters_lora(self._context, pointers or None, len(used), scales or None) != 0:
            raise RuntimeError(f"llama.cpp cannot use the adapter {adapter_id}")
        self._adapter = adapter_id

    def empty_slot(self, slot: int) -> None:
        """Empty a slot."""
        self._check_slot(slot)
        c.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def trim_slot(self, slot: int, length: int) -> None:
        """Cut a slot to its first ``length`` tokens."""
        self._check_slot(slot)
        if not c.llama_memory_seq_rm(self._memory, slot, length, -1):
            raise RuntimeError("this model cannot forget part of a sequence")

    def share_cells(self, source: int, target: int, start: int, end: int) -> None:
        """Share tokens ``start`` to ``end`` of a slot with another one that lacks them. Not with separate streams."""
        self._check_slot(source)
        self._check_slot(target)
        c.llama_memory_seq_cp(self._memory, source, target, start, end)

    def save_slot(self, slot: int) -> NDArray[np.uint8]:
        """Return a copy of a slot's keys and values, about as large as its cells."""
        self._check_slot(slot)
        data = np.empty(c.llama_state_seq_get_size(self._context, slot), dtype=np.uint8)
        if c.llama_state_seq_get_data(self._context, _bytes_of(data), data.size, slot) != data.size:
            raise RuntimeError("llama.cpp cannot save a sequence")
        return data

    def restore_slot(self, slot: int, data: NDArray[np.uint8]) -> None:
        """Replace the content of a slot by a saved copy. There must be enough free cells."""
        self._check_slot(slot)
        if c.llama_state_seq_set_data(self._context, _bytes_of(data), data.size, slot) != data.size:
            raise RuntimeError("llama.cpp cannot restore a sequence")

    def overwrite_free_cells(self, data: NDArray[np.uint8], length: int, free: int, scratch: tuple[int, int]) -> None:
        """Overwrite all free cells with finite numbers, since some attention kernels read them.

        Args:
            data: saved copy of a slot's tokens. Numbers in it that are not finite become 0. Requires ``can_overwrite``.
            length: number of its tokens, at most ``free``.
            free: number of free cells.
            scratch: two empty slots.
        """
        first, second = scratch
        data = _finite(data, self._kv_type)
        rest, rest_length = data, free % length
        if rest_length:
            self.restore_slot(first, data)
            end = 1 + c.llama_memory_seq_pos_max(self._memory, first)
            self.trim_slot(first, end - length + rest_length)
            rest = self.save_slot(first)
            self.empty_slot(first)
        for part in [data] * (free // length) + [rest] * (rest_length > 0):
            self.restore_slot(first, part)
            self.share_cells(first, second, 0, _NO_END)
            self.empty_slot(first)
        self.empty_slot(second)

    def overwrite_slot(self, slot: int) -> None:
        """Overwrite the cells of a slot with finite numbers and empty it. Only with separate streams."""
        data = _finite(self.save_slot(slot), self._kv_type)
        self.restore_slot(slot, data)
        self.empty_slot(slot)

    def empty_all(self) -> None:
        """Empty all slots and overwrite the cells."""
        c.llama_memory_clear(self._memory, True)

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self._slots:
            raise ValueError(f"no such slot: {slot}")


def _bytes_of(data: NDArray[np.uint8]) -> Any:
    return data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _finite(data: NDArray[np.uint8], kv_type: KVType) -> NDArray[np.uint8]:
    """Return a saved slot with 0 in place of numbers that are not finite: those whose exponent has only ones."""
    copy = data.copy()
    whole = copy[: len(copy) // 4 * 4]
    if kv_type == "f16":
        halves = whole.view(np.uint16)
        halves[(halves & 0x7C00) == 0x7C00] = 0
    else:
        words = whole.view(np.uint32)
        words[(words & 0x7F800000) == 0x7F800000] = 0
    return copy


class Batch:
    """``llama_batch`` whose arrays are numpy's; ``struct`` is llama.cpp's view of them."""

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
        self, chunks: Sequence[tuple[int, int, Sequence[int], int]], slots: int, most_logits: int, vocabulary_size: int
    ) -> int:
        """Fill in chunks; returns the number of wanted rows of logits. Raises ValueError where llama.cpp aborts."""
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
