"""GGUFVocabulary of a model, through llama.cpp."""

import ctypes
import re
import weakref
from array import array
from collections.abc import Collection
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from ponant.llamacpp.bindings import brief, c
from ponant.llamacpp.handles import load_model, read_metadata

_get_text = brief(c.llama_vocab_get_text)
_get_attributes = brief(c.llama_vocab_get_attr)
_is_end = brief(c.llama_vocab_is_eog)
_to_piece = brief(c.llama_token_to_piece)


@cache
def _file_types() -> dict[str, str]:
    """Return the names of weight formats by their numbers in GGUF files."""
    prefix = re.compile("LLAMA_FTYPE_(?:MOSTLY_|ALL_)?")
    names = [name for name in dir(c) if prefix.match(name)]
    return {str(getattr(c, name)): prefix.sub("", name) for name in names}


class GGUFVocabulary:
    """GGUFVocabulary of a model, opened without its weights. It is thread-safe.

    The memory is freed with the last reference, or by ``close``.

    Attributes:
        metadata: key-value pairs of the GGUF file as text, without lists.
        size: number of tokens.
        end_tokens: tokens that end a completion.
        parameters: number of parameters of the weights.
        weights: size of the weights in bytes.
    """

    def __init__(self, path: Path) -> None:
        """Open a GGUF file. Raises ModelLoadError if there is no such file or it is not a model."""
        self._model = load_model(path, vocab_only=True)
        self._vocab: Any = c.llama_model_get_vocab(self._model)
        self.metadata = read_metadata(self._model)
        self.size: int = c.llama_vocab_n_tokens(self._vocab)
        self.end_tokens = end_tokens(self._vocab)
        self.parameters: int = c.llama_model_n_params(self._model)
        self.weights: int = c.llama_model_size(self._model)
        self._pieces: dict[int, bytes] = {}
        self._free = weakref.finalize(self, c.llama_model_free, self._model)
        self._free.atexit = False  # threads may still use it at exit

    def close(self) -> None:
        """Free the memory. No other method may be called afterwards."""
        self._free()

    @property
    def quantization(self) -> str | None:
        """Format of most of the weights, such as ``Q4_K_M``; None if the file has no such entry."""
        return _file_types().get(self.metadata.get("general.file_type", ""))

    @property
    def adds_bos(self) -> bool:
        """True if prompts begin with the beginning-of-sequence token."""
        return bool(c.llama_vocab_get_add_bos(self._vocab))

    @property
    def bos(self) -> int | None:
        """Beginning-of-sequence token, if there is one."""
        token: int = c.llama_vocab_bos(self._vocab)
        return token if token >= 0 else None

    @property
    def eos(self) -> int | None:
        """End-of-sequence token, if there is one."""
        token: int = c.llama_vocab_eos(self._vocab)
        return token if token >= 0 else None

    @property
    def fim_tokens(self) -> tuple[int, int, int] | None:
        """Fill-in-the-middle tokens before the prefix, the suffix and the middle; None if one is missing.

        They are those that the file names, or else those that llama.cpp recognises by their texts.
        """
        before: int = c.llama_vocab_fim_pre(self._vocab)
        after: int = c.llama_vocab_fim_suf(self._vocab)
        middle: int = c.llama_vocab_fim_mid(self._vocab)
        return (before, after, middle) if min(before, after, middle) >= 0 else None

    def text(self, token: int | None) -> str:
        """Return the text of a token in the vocabulary, such as ``<|im_end|>``; empty for None."""
        return "" if token is None else _get_text(self._vocab, token).decode("utf-8", "replace")

    def control_tokens(self) -> dict[str, int]:
        """Return the control tokens by their texts, which ``tokenize`` can read as such."""
        return self._tokens_that_are(c.LLAMA_TOKEN_ATTR_CONTROL | c.LLAMA_TOKEN_ATTR_UNKNOWN)

    def user_defined_tokens(self) -> dict[str, int]:
        """Return the user-defined tokens by their texts. ``tokenize`` reads them in any text before all others.

        They stand for their text, such as Qwen's ``<tool_call>``, or runs of spaces in some vocabularies.
        """
        return self._tokens_that_are(c.LLAMA_TOKEN_ATTR_USER_DEFINED)

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """Return the tokens of a text, without those that begin or end a sequence.

        Args:
            text: the text.
            control: read texts of control tokens as these tokens. Texts of user-defined tokens are always read so.
        """
        return tokenize(self._vocab, text, control=control)

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token, which may be part of a character; none for a control token."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token)
        return piece

    def written_like(self, texts: Collection[str]) -> frozenset[int]:
        """Return the tokens with one of these texts."""
        wanted = {text.encode() for text in texts}
        return frozenset(token for token in range(self.size) if _get_text(self._vocab, token) in wanted)

    def longest_piece(self) -> int:
        """Return the length of the longest token in bytes."""
        return self._longest_piece

    @cached_property
    def _longest_piece(self) -> int:
        return max(len(_get_text(self._vocab, token)) for token in range(self.size))

    @cached_property
    def _attributes(self) -> list[int]:
        return [_get_attributes(self._vocab, token) for token in range(self.size)]

    def _tokens_that_are(self, attributes: int) -> dict[str, int]:
        """Return the tokens with one of these attributes by their texts."""
        return {self.text(token): token for token, own in enumerate(self._attributes) if own & attributes}

    def _read_piece(self, token: int) -> bytes:
        return _piece(self._vocab, token, control=False)


def open_vocabulary(path: Path) -> GGUFVocabulary:
    """Return the vocabulary of a model; the last one opened is cached. Raises ModelLoadError."""
    try:
        status = path.stat()
    except OSError:
        return GGUFVocabulary(path)  # raises the error
    return _opened_last(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _opened_last(path: Path, _changed: int, _size: int) -> GGUFVocabulary:
    return GGUFVocabulary(path)


def tokenize(vocab: Any, text: str, *, control: bool = False, ends: bool = False) -> list[int]:
    """Return the tokens of a text.

    Args:
        vocab: llama.cpp's handle of the vocabulary.
        text: the text.
        control: read texts of control tokens as these tokens.
        ends: add the tokens that the model expects around a text.
    """
    data = text.encode("utf-8", "replace")
    room = len(data) + 8
    buffer = array("i", bytes(room * ctypes.sizeof(c.llama_token)))
    pointer = ctypes.cast(buffer.buffer_info()[0], ctypes.POINTER(c.llama_token))
    count = c.llama_tokenize(vocab, data, len(data), pointer, room, ends, control)
    if count < 0:
        raise ValueError("the text has more tokens than bytes")
    return buffer[:count].tolist()


def _piece(vocab: Any, token: int, *, control: bool) -> bytes:
    """Return the bytes of a token; ``control`` includes control tokens."""
    buffer = ctypes.create_string_buffer(64)
    length = _to_piece(vocab, token, buffer, len(buffer), 0, control)
    if length < 0:
        buffer = ctypes.create_string_buffer(-length)
        length = _to_piece(vocab, token, buffer, len(buffer), 0, control)
    return buffer.raw[:length]


TOKENIZE_ADDRESS = ctypes.cast(c.llama_tokenize, ctypes.c_void_p).value
"""Address of llama.cpp's function ``llama_tokenize``, for libraries that call it."""


def written_tokens(vocab: Any, *, control_mark: bytes) -> list[bytes]:
    """Return the bytes of all tokens of a vocabulary, with a mark before control tokens."""
    return [
        (control_mark if _get_attributes(vocab, token) & c.LLAMA_TOKEN_ATTR_CONTROL else b"")
        + _piece(vocab, token, control=True)
        for token in range(c.llama_vocab_n_tokens(vocab))
    ]


def end_of_sequence(vocab: Any) -> int:
    """Return the end-of-sequence token of a vocabulary."""
    token: int = c.llama_vocab_eos(vocab)
    return token


def end_tokens(vocab: Any) -> frozenset[int]:
    """Return the tokens of a vocabulary that end a completion."""
    return frozenset(token for token in range(c.llama_vocab_n_tokens(vocab)) if _is_end(vocab, token))
