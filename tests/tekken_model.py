"""Tiny random model with the tokens of a Mistral model: ``tekken.json`` and a GGUF file that agree."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gguf import GGUFWriter, TokenType

from tests.tiny_model import (
    CONSTANT,
    IMPROBABLE,
    Vocabulary,
    _add_hyperparameters,
    _spell,
    _weights,
    build_vocabulary,
)

VERSIONS = ("v3", "v7", "v11", "v13", "v15")
"""Tokenizer versions that are distributed as ``tekken.json``."""

EFFORTS = ("none", "high")
"""Reasoning efforts of the v15 model; the last is the default."""

# Pre-tokenizer pattern of the real files.
PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# The real files have 1000 special tokens; unnamed ones are spelled in the same way.
SPECIAL_TOKENS = 48
BOS, EOS, UNKNOWN, PAD = 1, 2, 0, 11
_NAMES = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
    *("[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]"),
    *("[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
)
_LATER_NAMES = {
    11: {32: "[ARGS]", 33: "[CALL_ID]"},
    13: {34: "[THINK]", 35: "[/THINK]"},
    15: {36: "[MODEL_SETTINGS]", 37: "[/MODEL_SETTINGS]"},
}

# Mistral's library asserts that this character has two tokens, as it has in all real files.
_SMILEY = (_spell(b"\xe2"), _spell(b"\x98"))


def write_tekken_model(
    folder: Path,
    *,
    version: str = "v13",
    thinking: bool = True,
    seed: int = 0,
    context_length: int = 4096,
    chat_template: str | None = None,
    biases: Mapping[str, float] | None = None,
) -> Path:
    """Write ``tekken.json`` and ``model.gguf``, a tiny F32 model that generates random valid UTF-8.

    Args:
        folder: Folder of both files. It must exist.
        version: Version of the tokenizer, one of `VERSIONS`.
        thinking: True for control tokens around thoughts, from v13 on.
        seed: Seed of the weights.
        context_length: Context length in the file's metadata.
        chat_template: Jinja template in the GGUF file; None leaves it out.
        biases: Log-weights of control tokens by their texts: 0 is as likely as any word. Control tokens that are
            missing here, such as ``</s>``, are hardly ever drawn.

    Returns:
        The path of the GGUF file.
    """
    write_tekken(folder / "tekken.json", version=version, thinking=thinking)
    vocabulary = tekken_vocabulary(version, thinking=thinking)
    weights = _weights(vocabulary, seed, IMPROBABLE, ())
    for token in range(SPECIAL_TOKENS):
        weights["output.weight"][token, CONSTANT] = (biases or {}).get(vocabulary.tokens[token], IMPROBABLE)
    path = folder / "model.gguf"
    writer = GGUFWriter(path, "llama")
    _add_hyperparameters(writer, context_length, len(vocabulary.tokens))
    _add_tokenizer(writer, vocabulary)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for name, matrix in weights.items():
        writer.add_tensor(name, matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_tekken(path: Path, *, version: str, thinking: bool = True) -> None:
    """Write the tokenizer file alone, in the format of Mistral's library."""
    words = [_bytes(token) for token in _plain_vocabulary().tokens]
    content: dict[str, Any] = {
        "config": {
            "pattern": PATTERN,
            "num_vocab_tokens": len(words),
            "default_vocab_size": len(words) + SPECIAL_TOKENS,
            "default_num_special_tokens": SPECIAL_TOKENS,
            "version": version,
        },
        "version": 1,
        "type": "Tekken",
        "vocab": [
            {"rank": rank, "token_bytes": base64.b64encode(word).decode(), "token_str": _text(word)}
            for rank, word in enumerate(words)
        ],
        "special_tokens": [
            {"rank": rank, "token_str": text, "is_control": True}
            for rank, text in enumerate(special_tokens(version, thinking=thinking))
        ],
    }
    if _number(version) >= 15:
        efforts = {"type": "enum", "values": list(EFFORTS), "accepts_none": True, "default": EFFORTS[-1]}
        content["model_settings_builder"] = {"reasoning_effort": efforts}
    path.write_text(json.dumps(content), "utf-8")


def tekken_vocabulary(version: str, *, thinking: bool = True) -> Vocabulary:
    """Return the tokens in the order of the GGUF file: all special ones come first."""
    plain = _plain_vocabulary()
    return Vocabulary(tokens=(*special_tokens(version, thinking=thinking), *plain.tokens), merges=plain.merges)


def special_tokens(version: str, *, thinking: bool = True) -> list[str]:
    """Return the special tokens of a version, at the ids of the real files."""
    texts = [*_NAMES, *(f"<SPECIAL_{rank}>" for rank in range(len(_NAMES), SPECIAL_TOKENS))]
    for since, names in _LATER_NAMES.items():
        if _number(version) >= since and (thinking or since != 13):
            for rank, text in names.items():
                texts[rank] = text
    return texts


def _plain_vocabulary() -> Vocabulary:
    """Return the 256 bytes, followed by their merges."""
    merges = (*build_vocabulary().merges, _SMILEY)
    return Vocabulary(
        tokens=(*(_spell(bytes([byte])) for byte in range(256)), *(left + right for left, right in merges)),
        merges=merges,
    )


def _bytes(spelling: str) -> bytes:
    """Return the bytes of a byte-level BPE token."""
    alphabet = {_spell(bytes([byte])): byte for byte in range(256)}
    return bytes(alphabet[character] for character in spelling)


def _text(word: bytes) -> str | None:
    try:
        return word.decode()
    except UnicodeDecodeError:
        return None


def _number(version: str) -> int:
    return int(version.removeprefix("v"))


def _add_tokenizer(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    plain = len(vocabulary.tokens) - SPECIAL_TOKENS
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("tekken")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([TokenType.CONTROL] * SPECIAL_TOKENS + [TokenType.NORMAL] * plain)
    writer.add_token_merges([" ".join(pair) for pair in vocabulary.merges])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_pad_token_id(PAD)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
