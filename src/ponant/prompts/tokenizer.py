"""The tokens of texts: none of those that structure prompts, whatever a text reads like."""

import re
from collections.abc import Iterable

from ponant.prompts.vocabulary import Vocabulary

_MARKER = re.compile(r"[<\[].*[>\]]", re.DOTALL)
"""How tokens that structure a prompt are written, but for spaces around them."""
_PIPED = re.compile(r"<[|｜].*[|｜]>", re.DOTALL)
"""How they are written if they can be nothing else."""


def is_marker(text: str) -> bool:
    """Whether a token that is written so can be one that structures a prompt, but for a space before it."""
    return _MARKER.fullmatch(bare(text)) is not None


def bare(text: str) -> str:
    """A token as it is written without the spaces around it."""
    return text.strip("▁ ")


def template_markers(vocabulary: Vocabulary) -> dict[str, int]:
    """The tokens that structure conversations although they are no control tokens, by how they are written.

    Qwen's ``<tool_call>`` is one: its vocabulary has it as user-defined, so that llama.cpp reads it in any text. Other
    tokens of that kind are mere vocabulary, such as runs of spaces and Gemma's ``<table>``: text consists of them too.
    """
    template = vocabulary.metadata.get("tokenizer.chat_template", "")
    return {
        bare(text): token
        for text, token in vocabulary.user_defined_tokens().items()
        if is_marker(text) and (bare(text) in template or _PIPED.fullmatch(bare(text)))
    }


class PromptTokenizer:
    """Makes the tokens of the texts in prompts."""

    def __init__(self, vocabulary: Vocabulary, markers: Iterable[int]) -> None:
        """``markers`` are the tokens that structure prompts; control tokens need not be among them."""
        self._vocabulary = vocabulary
        self._markers = frozenset(markers)
        texts = sorted({bare(vocabulary.text(token)) for token in self._markers}, key=len, reverse=True)
        self._marker = re.compile("|".join(re.escape(text) for text in texts if len(text) > 1) or r"(?!)")
        self._adds_space = b"".join(map(vocabulary.piece, vocabulary.tokenize("x", control=False))) == b" x"

    def tokens(self, text: str, *, may_be_control: bool = False, continues: bool = False) -> list[int]:
        """The tokens of a text.

        Args:
            text: what to read.
            may_be_control: whether markers and control tokens may be read in it: if the template has written it.
            continues: whether it follows another text. No space is put before it then, as some vocabularies have it.
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
        if continues and self._adds_space:  # what comes after a newline has no space before it
            newline = self._vocabulary.tokenize("\n", control=control)
            tokens = self._vocabulary.tokenize("\n" + text, control=control)
            if tokens[: len(newline)] == newline:
                return tokens[len(newline) :]
        return self._vocabulary.tokenize(text, control=control)
