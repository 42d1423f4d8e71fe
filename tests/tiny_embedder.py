"""Tiny random BERT model as a GGUF file: embeddings that are fast and depend on every token."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from gguf import GGUFWriter, PoolingType, TokenType
from numpy.typing import NDArray

WIDTH = 32
LAYERS = 2
HEADS = 4
FEED_FORWARD = 64

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("a", "the", "cat", "dog", "sleeps", "runs", "house", "##s", "##ing", ".", ",", "!")

POOLING: Mapping[str, PoolingType] = {
    "mean": PoolingType.MEAN,
    "cls": PoolingType.CLS,
    "last": PoolingType.LAST,
    "rank": PoolingType.RANK,
    "none": PoolingType.NONE,
}


def write_tiny_embedder(
    path: Path,
    *,
    pooling: Literal["mean", "cls", "last", "rank", "none"] = "mean",
    context_length: int = 64,
    nan_word: str | None = None,
) -> None:
    """Write a random BERT model in F32 with a vocabulary of words and letters.

    Args:
        path: Path of the GGUF file.
        pooling: Pooling type in the file's metadata.
        context_length: Number of positions of the model.
        nan_word: A word that makes the vector of its text NaN.
    """
    letters = [character for character in map(chr, range(33, 127)) if not character.isupper()]
    pieces = [*WORDS, *letters, *(f"##{character}" for character in letters)]
    words = list(dict.fromkeys(pieces))
    spelled = [word.removeprefix("##") if word.startswith("##") and len(word) > 2 else f"▁{word}" for word in words]
    tokens = [*SPECIAL, *spelled]
    writer = GGUFWriter(path, "bert")
    writer.add_name("tiny embedder")
    writer.add_context_length(context_length)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(POOLING[pooling])
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL] * len(SPECIAL) + [TokenType.NORMAL] * len(spelled))
    writer.add_token_type_count(2)
    for name, add in (
        ("[PAD]", writer.add_pad_token_id),
        ("[UNK]", writer.add_unk_token_id),
        ("[CLS]", writer.add_bos_token_id),
        ("[SEP]", writer.add_sep_token_id),
    ):
        add(tokens.index(name))
    for name, weights in _weights(len(tokens), context_length).items():
        if name == "token_embd.weight" and nan_word:
            weights[tokens.index(f"▁{nan_word}")] = np.nan
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


Array = NDArray[np.float32]


def _weights(vocabulary_size: int, context_length: int) -> dict[str, Array]:
    random = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> Array:
        drawn: Array = random.standard_normal((rows, columns)).astype(np.float32)
        return drawn * np.float32(1 / np.sqrt(columns))

    def vector(size: int, *, around: float = 0) -> Array:
        return (around + 0.1 * random.standard_normal(size)).astype(np.float32)

    weights = {
        "token_embd.weight": matrix(vocabulary_size, WIDTH),
        "token_types.weight": matrix(2, WIDTH),
        "position_embd.weight": matrix(context_length, WIDTH),
        "token_embd_norm.weight": vector(WIDTH, around=1),
        "token_embd_norm.bias": vector(WIDTH),
    }
    for layer in range(LAYERS):
        for name, rows, columns in (
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", WIDTH, WIDTH),
            ("attn_v", WIDTH, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_up", FEED_FORWARD, WIDTH),
            ("ffn_down", WIDTH, FEED_FORWARD),
        ):
            weights[f"blk.{layer}.{name}.weight"] = matrix(rows, columns)
            weights[f"blk.{layer}.{name}.bias"] = vector(rows)
        for name in ("attn_output_norm", "layer_output_norm"):
            weights[f"blk.{layer}.{name}.weight"] = vector(WIDTH, around=1)
            weights[f"blk.{layer}.{name}.bias"] = vector(WIDTH)
    return weights
