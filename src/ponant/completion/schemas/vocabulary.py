"""Artificial vocabulary, as broad as that of a model, for which regular expressions are tried.

A mask for a model's vocabulary visits far more states of a regular expression than one for single bytes.
"""

import random
import string
from functools import cache

from llguidance import LLTokenizer, TokenizerWrapper

_WORDS = 10_000
_LONGEST = 14
_CHARACTERS = string.ascii_letters + string.digits + " -_.@"
_END = b"\xff<end>"


class _Tokens:
    """Tokens in the form that llguidance reads: all bytes, runs of a character, and random words."""

    special_token_ids: list[int]
    bos_token_id = None

    def __init__(self) -> None:
        dice = random.Random(0)  # noqa: S311 - the same words each time
        runs = [chr(code).encode() * length for code in range(32, 127) for length in range(2, _LONGEST)]
        words = ["".join(dice.choices(_CHARACTERS, k=dice.randint(2, _LONGEST))).encode() for _ in range(_WORDS)]
        self.tokens = list(dict.fromkeys([*(bytes([byte]) for byte in range(256)), *runs, *words, _END]))
        self.eos_token_id = self.tokens.index(_END)
        self.special_token_ids = [self.eos_token_id]

    def __call__(self, text: str | bytes) -> list[int]:
        """Return the tokens of a text: its bytes."""
        return list(text.encode() if isinstance(text, str) else text)


@cache
def broad_tokenizer() -> LLTokenizer:
    """Return the tokenizer of this vocabulary. Its first 256 tokens are the bytes. Its construction takes 0.1 s."""
    return LLTokenizer(TokenizerWrapper(_Tokens()))
