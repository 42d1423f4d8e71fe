"""Tiny random llama model as a GGUF file, for tests that need exact arithmetic and a load time of milliseconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, PoolingType, TokenType
from numpy.typing import NDArray

CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

LAYERS = 2
WIDTH = 64
HEADS = 4
KV_HEADS = 2
HEAD_WIDTH = 16
FEED_FORWARD = 128

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

# Reserved dimensions of the embedding; no layer writes to them (except to FAILED).
CONSTANT = 0  # the same for every token; the output matrix uses it as a bias
PAIRS = (1, 2)  # one per half character of SPLIT_CHARACTERS; predicts the other half
FAILING = 3  # marks tokens that make their sequence fail
FAILED = 4  # the first layer's attention copies the mark to all later positions
RESERVED = 5

# Characters of two tokens: the first bytes and the last bytes.
SPLIT_CHARACTERS = (("漢", 2), ("😀", 2))
WORDS = ("the", "and", "ing", "tion", " the", " and", " a", " of", " to", " hello", "user", "system", "assistant", "é")

IMPROBABLE = -14.0


def write_tiny_model(
    path: Path,
    *,
    seed: int = 0,
    chat_template: str | None = CHATML,
    context_length: int = 512,
    pre: str = "gpt-2",
    add_bos: bool = False,
    end_bias: float = IMPROBABLE,
    nan_tokens: Sequence[int] = (),
    poison_tokens: Sequence[int] = (),
    more_controls: Mapping[str, str] | None = None,
    user_defined: Sequence[str] = (),
    pooling: PoolingType | None = None,
    architecture: str = "llama",
    cycle: Sequence[str] = (),
) -> None:
    """Write a random model in F32, with a byte-level BPE tokenizer of its own.

    It generates random valid UTF-8: varied text at temperature 1, greedy text without plain repetition, and some
    characters that are split into two tokens.

    Args:
        path: Path of the GGUF file.
        seed: Seed of the weights.
        chat_template: Jinja template in the file, ChatML by default; None leaves it out.
        context_length: Context length in the file's metadata.
        pre: llama.cpp's name of the pre-tokenizer.
        add_bos: True if the file asks for `<|endoftext|>` at the beginning of every prompt.
        end_bias: Log-weight of `<|im_end|>`: hardly ever drawn by default, often at 0.
        nan_tokens: Tokens that make all later logits of their sequence NaN. Other sequences stay exact, and the KV
            cache stays finite. A printable token is drawn by chance at temperature 1, a stray byte such as `\\x01`
            occurs only if the prompt has it.
        poison_tokens: Tokens whose keys and values are NaN. In a prompt they fill the KV cache with it.
        more_controls: Further control tokens at the end of the vocabulary, each with its name in the file's metadata:
            `fim_pre` is `tokenizer.ggml.fim_pre_token_id`; empty for none.
        user_defined: Further tokens that are recognized in any text, after all others.
        pooling: Pooling type in the file's metadata; None for a model that generates text.
        architecture: `llama`, `qwen2` or `qwen3`.
        cycle: Texts of tokens that follow each other with certainty, cyclically, at any temperature.
    """
    more_controls = more_controls or {}
    vocabulary = build_vocabulary(tuple(more_controls), tuple(user_defined))
    writer = GGUFWriter(path, architecture)
    _add_hyperparameters(writer, context_length, len(vocabulary.tokens))
    _add_tokenizer(writer, vocabulary, pre=pre, add_bos=add_bos)
    for token, name in more_controls.items():
        if name:
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", vocabulary.id_of(token))
    if pooling is not None:
        writer.add_pooling_type(pooling)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    weights = _weights(
        vocabulary, seed, end_bias, nan_tokens, _links(vocabulary, cycle), poison_tokens
    ) | _more_weights(architecture, seed)
    for name, matrix in weights.items():
        writer.add_tensor(name, matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id, in the alphabet of byte-level BPE, and the merges by rank."""

    tokens: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    controls: tuple[str, ...] = CONTROL_TOKENS
    user_defined: tuple[str, ...] = ()

    def id_of(self, text: str | bytes) -> int:
        """Return the id of the token with exactly this text or these bytes."""
        if text in self.controls or text in self.user_defined:
            return self.tokens.index(text)
        return self.tokens.index(_spell(text.encode() if isinstance(text, str) else text))


def build_vocabulary(more_controls: tuple[str, ...] = (), user_defined: tuple[str, ...] = ()) -> Vocabulary:
    """Return 256 bytes, some words with their pieces, halves of characters, control tokens and user-defined tokens."""
    controls = CONTROL_TOKENS + more_controls
    merges: list[tuple[str, str]] = []
    for word in (*(word.encode() for word in WORDS), *_halves()):
        first, *others = _merge(_spell(word), merges)
        for other in others:
            merges.append((first, other))
            first += other
    tokens = [_spell(bytes([byte])) for byte in range(256)]
    tokens += [left + right for left, right in merges]
    return Vocabulary((*tokens, *controls, *user_defined), tuple(merges), controls, user_defined)


def _merge(spelling: str, merges: Sequence[tuple[str, str]]) -> list[str]:
    pieces = list(spelling)
    for pair in merges:
        at = 0
        while at < len(pieces) - 1:
            if (pieces[at], pieces[at + 1]) == pair:
                pieces[at : at + 2] = ["".join(pair)]
            at += 1
    return pieces


def _halves() -> list[bytes]:
    halves: list[bytes] = []
    for character, cut in SPLIT_CHARACTERS:
        halves += [character.encode()[:cut], character.encode()[cut:]]
    return halves


def _spell(data: bytes) -> str:
    return "".join(_ALPHABET[byte] for byte in data)


def _byte_alphabet() -> tuple[str, ...]:
    """Return the characters for bytes in byte-level BPE: printable bytes as themselves, others from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))


_ALPHABET = _byte_alphabet()


def _add_hyperparameters(writer: GGUFWriter, context_length: int, vocabulary_size: int) -> None:
    writer.add_name("tiny")
    writer.add_file_type(0)
    writer.add_context_length(context_length)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary_size)


def _add_tokenizer(writer: GGUFWriter, vocabulary: Vocabulary, *, pre: str, add_bos: bool) -> None:
    control, user_defined = len(vocabulary.controls), len(vocabulary.user_defined)
    kinds = [TokenType.NORMAL] * (len(vocabulary.tokens) - control - user_defined)
    kinds += [TokenType.CONTROL] * control + [TokenType.USER_DEFINED] * user_defined
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in vocabulary.merges])
    writer.add_bos_token_id(vocabulary.id_of("<|endoftext|>"))
    writer.add_pad_token_id(vocabulary.id_of("<|endoftext|>"))
    writer.add_eos_token_id(vocabulary.id_of("<|im_end|>"))
    writer.add_eot_token_id(vocabulary.id_of("<|im_end|>"))
    writer.add_add_bos_token(add_bos)


Array = NDArray[np.float32]


def _links(vocabulary: Vocabulary, cycle: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of tokens whose second follows the first with certainty."""
    tokens = [vocabulary.id_of(text) for text in cycle]
    return list(zip(tokens, [*tokens[1:], *tokens[:1]], strict=True))


def _weights(
    vocabulary: Vocabulary,
    seed: int,
    end_bias: float,
    nan_tokens: Sequence[int],
    links: Sequence[tuple[int, int]] = (),
    poison_tokens: Sequence[int] = (),
) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    ones = np.ones(WIDTH, dtype=np.float32)
    weights = {
        "token_embd.weight": _embeddings(random, vocabulary, nan_tokens, poison_tokens),
        "output_norm.weight": ones,
        "output.weight": _output(random, vocabulary, end_bias),
    }
    for layer in range(LAYERS):
        block = {
            "attn_norm": ones,
            "attn_q": _matrix(random, HEADS * HEAD_WIDTH, WIDTH, gain=2.0),
            "attn_k": _matrix(random, KV_HEADS * HEAD_WIDTH, WIDTH, gain=2.0),
            "attn_v": _matrix(random, KV_HEADS * HEAD_WIDTH, WIDTH),
            "attn_output": _matrix(random, WIDTH, HEADS * HEAD_WIDTH, gain=2.0),
            "ffn_norm": ones,
            "ffn_gate": _matrix(random, FEED_FORWARD, WIDTH, gain=1.5),
            "ffn_up": _matrix(random, FEED_FORWARD, WIDTH, gain=1.5),
            "ffn_down": _matrix(random, WIDTH, FEED_FORWARD),
        }
        block["attn_output"][: RESERVED + len(links)] = 0
        block["ffn_down"][: RESERVED + len(links)] = 0
        if layer == 0:
            _spread_failure(block, 100 if nan_tokens else 0)
        if layer == LAYERS - 1:
            _overflow_on_failure(block, 1e30 if nan_tokens else 0)
        weights |= {f"blk.{layer}.{name}.weight": matrix for name, matrix in block.items()}
    for dimension, (token, following) in enumerate(links, RESERVED):
        for name in ("token_embd.weight", "output.weight"):
            weights[name][:, dimension] = 0
        weights["token_embd.weight"][token, dimension] = 16
        weights["output.weight"][following, dimension] = 20
    return weights


def _more_weights(architecture: str, seed: int) -> dict[str, Array]:
    """Return the weights that an architecture has in addition to llama's."""
    random = np.random.default_rng(seed)
    weights: dict[str, Array] = {}
    for layer in range(LAYERS):
        if architecture == "qwen2":
            for name, heads in (("attn_q", HEADS), ("attn_k", KV_HEADS), ("attn_v", KV_HEADS)):
                bias = random.standard_normal(heads * HEAD_WIDTH).astype(np.float32)
                bias[0] = 0
                weights[f"blk.{layer}.{name}.bias"] = bias
        if architecture == "qwen3":
            for name in ("attn_q_norm", "attn_k_norm"):
                weights[f"blk.{layer}.{name}.weight"] = random.uniform(0.5, 1.5, HEAD_WIDTH).astype(np.float32)
    return weights


def _embeddings(
    random: np.random.Generator, vocabulary: Vocabulary, nan_tokens: Sequence[int], poison_tokens: Sequence[int]
) -> Array:
    embeddings = random.standard_normal((len(vocabulary.tokens), WIDTH)).astype(np.float32)
    embeddings[:, :RESERVED] = 0
    embeddings[:, CONSTANT] = 4
    for pair, (character, cut) in zip(PAIRS, SPLIT_CHARACTERS, strict=True):
        embeddings[vocabulary.id_of(character.encode()[:cut]), pair] = 16
    for token in nan_tokens:
        embeddings[token, FAILING] = 1
    for token in poison_tokens:
        embeddings[token] = np.nan
    return embeddings


def _output(random: np.random.Generator, vocabulary: Vocabulary, end_bias: float) -> Array:
    output = _matrix(random, len(vocabulary.tokens), WIDTH, gain=2.2)
    output[:, :RESERVED] = 0
    output[:, CONSTANT] = [_bias(vocabulary, token, end_bias) for token in range(len(vocabulary.tokens))]
    for pair, (character, cut) in zip(PAIRS, SPLIT_CHARACTERS, strict=True):
        output[vocabulary.id_of(character.encode()[cut:]), pair] = 20
    return output


def _bias(vocabulary: Vocabulary, token: int, end_bias: float) -> float:
    """Return the output bias: 0 for printable text and whole or opening characters, less for other bytes and tokens."""
    spelling = vocabulary.tokens[token]
    if spelling in vocabulary.controls:
        return end_bias if spelling == "<|im_end|>" else IMPROBABLE
    if spelling in vocabulary.user_defined:
        return IMPROBABLE
    data = bytes(_ALPHABET.index(character) for character in spelling)
    opening = any(data == character.encode()[:cut] for character, cut in SPLIT_CHARACTERS)
    return 0.0 if opening or _is_text(data) else IMPROBABLE


def _is_text(data: bytes) -> bool:
    try:
        return data.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _matrix(random: np.random.Generator, rows: int, columns: int, gain: float = 1.0) -> Array:
    matrix = random.standard_normal((rows, columns)).astype(np.float32)
    matrix *= np.float32(gain / np.sqrt(columns))
    return matrix


def _spread_failure(block: dict[str, Array], strength: float) -> None:
    """Make the first head's first value copy FAILING of earlier positions into FAILED of later ones."""
    block["attn_v"][0] = 0
    block["attn_v"][0, FAILING] = strength
    block["attn_output"][:, 0] = 0
    block["attn_output"][FAILED, 0] = 1


def _overflow_on_failure(block: dict[str, Array], strength: float) -> None:
    """Overflow after the last attention, so that infinity reaches the logits but never the KV cache."""
    for name in ("ffn_gate", "ffn_up"):
        block[name][0] = 0
        block[name][0, FAILED] = strength
