"""Tokenisation of prompt text without the tokens that structure prompts."""

import re
from collections.abc import Iterable

from ponant.prompts.vocabulary import Vocabulary

_MARKER = re.compile(r"[<\[].*[>\]]", re.DOTALL)
"""Pattern of tokens that may structure a prompt, without surrounding spaces."""
_PIPED = re.compile(r"<[|｜].*[|｜]>", re.DOTALL)
"""Pattern of tokens that certainly structure a prompt."""


def is_marker(text: str) -> bool:
    """Return True if a token with this text may structure a prompt."""
    return _MARKER.fullmatch(bare(text)) is not None


def bare(text: str) -> str:
    """Return a token's text without the spaces around it."""
    return text.strip("▁ ")


def template_markers(vocabulary: Vocabulary) -> dict[str, int]:
    """Return the user-defined tokens that structure conversations, by their texts.

    An example is Qwen's ``<tool_call>``: it is not a control token, so llama.cpp reads it in any text. Other
    user-defined tokens are ordinary vocabulary, such as runs of spaces and Gemma's ``<table>``.
    """
    template = vocabulary.metadata.get("tokenizer.chat_template", "")
    return {
        bare(text): token
        for text, token in vocabulary.user_defined_tokens().items()
        if is_marker(text) and (bare(text) in template or _PIPED.fullmatch(bare(text)))
    }


class PromptTokenizer:
    """Tokeniser of the texts in prompts."""

    def __init__(self, vocabulary: Vocabulary, markers: Iterable[int]) -> None:
        """Use ``markers`` as the tokens that structure prompts; control tokens need not be among them."""
        self._vocabulary = vocabulary
        self._markers = frozenset(markers)
        texts = sorted({bare(vocabulary.text(token)) for token in self._markers}, key=len, reverse=True)
        self._marker = re.compile("|".join(re.escape(text) for text in texts if len(text) > 1) or r"(?!)")
        self._adds_space = b"".join(map(vocabulary.piece, vocabulary.tokenize("x", control=False))) == b" x"

    def tokens(self, text: str, *, may_be_control: bool = False, continues: bool = False) -> list[int]:
        """Return the tokens of a text.

        Args:
            text: the text.
            may_be_control: True if markers and control tokens may be read in it, as in the template's own text.
            continues: True if it follows another text, so that the vocabulary's leading space is not added.
        """
        tokens = self._tokenize(text, control=may_be_control, continues=continues)
        if may_be_control or self._markers.isdisjoint(tokens):
            return tokens
        cuts = [match.start() + len(match[0]) // 2 for match in self._marker.finditer(text)]
        if not cuts:
            return tokens
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        return [token for i, piece in enumerate(pieces) for token in self.tokens(piece, continues=continues or i > 0)]

    def _tokenize(self, text: str, *, control: bool, continues: bool) -> list[int]:
        if continues and self._adds_space:  # no space is added after a newline
            newline = self._vocabulary.tokenize("\n", control=control)
            tokens = self._vocabulary.tokenize("\n" + text, control=control)
            if tokens[: len(newline)] == newline:
                return tokens[len(newline) :]
        return self._vocabulary.tokenize(text, control=control)
