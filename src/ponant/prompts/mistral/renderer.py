"""Rendering of turns to tokens through Mistral's library, for models with its tokenizer file."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ponant.api.chat import Tool
from ponant.prompts.answer.output_format import Thinking
from ponant.prompts.chat.rendering import Rendered, too_long
from ponant.prompts.chat.turns import Turn
from ponant.prompts.mistral.tokenizer import MistralTokens, find_tokenizer_file
from ponant.prompts.tools.call_formats import LISTED, NAMED, CallFormat
from ponant.prompts.vocabulary import Vocabulary, is_mistral

logger = logging.getLogger("ponant.prompts")

_EFFORT, _NO_EFFORT = "high", "none"


class MistralRenderer:
    """Renderer through ``mistral-common``. Thread-safe."""

    def __init__(self, path: Path, vocabulary: Vocabulary, *, context: int) -> None:
        """Read the tokenizer file.

        Args:
            path: path of the file.
            vocabulary: the model's vocabulary, which must have the same tokens.
            context: number of tokens that a prompt must stay below.

        Raises:
            TokenizerError: the file cannot be used.
        """
        self.is_quick = False  # the library copies and validates the conversation several times
        self._tokens = MistralTokens(path, vocabulary)
        self._context = context
        self._most_bytes = context * vocabulary.longest_piece()
        self.needs_mistral_tool_ids = self._tokens.has_short_call_ids
        self._has_space = path.suffix != ".json"  # SentencePiece puts a space before words

    @property
    def calls(self) -> CallFormat | None:
        """Format of calls of the tokenizer's version; None for v1."""
        match self._tokens.call_syntax:
            case "list":
                return replace(LISTED, open=" [" if self._has_space else "[", has_ids=self._tokens.has_call_ids)
            case "arguments":
                return NAMED if self._tokens.has_call_ids else replace(NAMED, before_id="")
            case _:
                return None

    @property
    def thinking(self) -> Thinking | None:
        """Control tokens around thinking. Only models with reasoning efforts think without instructions."""
        if self._tokens.thinking is None:
            return None
        return Thinking(*self._tokens.thinking, native=_EFFORT in self._tokens.efforts)

    def encode_fim(self, name: str) -> Callable[[str, str | None], list[int]] | None:
        """Return the encoder of fill-in-the-middle prompts; None if a model of this name was not trained for them.

        Only Codestral was, although other vocabularies have the tokens too.
        """
        return self._tokens.encode_fim if self._tokens.has_fim and "codestral" in name.lower() else None

    def render(
        self, turns: Sequence[Turn], *, prefix: str = "", tools: Sequence[Tool] = (), reasoning: bool = False
    ) -> Rendered:
        """Render a prompt; see ``Renderer``."""
        if sum(len(turn.text.encode("utf-8", "replace")) for turn in turns) > self._most_bytes:
            raise too_long(f"more than {self._context} tokens", self._context)
        effort = _EFFORT if reasoning else _NO_EFFORT
        known = effort if effort in self._tokens.efforts else None
        return Rendered(self._tokens.encode(turns, prefix=prefix, tools=tools, effort=known))


def mistral_renderer(
    weights: Path | None, vocabulary: Vocabulary, *, context: int, tokenizer: Path | None = None
) -> MistralRenderer | None:
    """Return the renderer of a Mistral model; None if it has no tokenizer file.

    Args:
        weights: path of the model file, if it is on this machine; its folder is searched for the tokenizer file.
        vocabulary: the model's vocabulary.
        context: number of tokens that a prompt must stay below.
        tokenizer: path of the tokenizer file, if it is elsewhere.

    Raises:
        TokenizerError: the tokenizer file cannot be used.
    """
    path = tokenizer or (find_tokenizer_file(weights) if weights else None)
    if path:
        return MistralRenderer(path, vocabulary, context=context)
    if is_mistral(vocabulary):
        logger.warning(
            "the chat template of this Mistral model may differ from its training: put its tekken.json or "
            "tokenizer.model.v* into the same folder, or name the file in the model's setting tokenizer",
            extra={"weights": weights.name if weights else "none"},
        )
    return None
