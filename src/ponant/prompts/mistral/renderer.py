"""From turns to tokens, through Mistral's own library, for models that come with its tokenizer file."""

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
    """Renders through ``mistral-common``. Safe to use from several threads at once."""

    def __init__(self, path: Path, vocabulary: Vocabulary, *, context: int) -> None:
        """Read the tokenizer file.

        Args:
            path: the file.
            vocabulary: the model's, whose tokens must be the same.
            context: the number of tokens that a prompt must stay below.

        Raises:
            TokenizerError: the file cannot be used.
        """
        self._tokens = MistralTokens(path, vocabulary)
        self._context = context
        self._most_bytes = context * vocabulary.longest_piece()
        self.needs_mistral_tool_ids = self._tokens.has_short_call_ids
        self._has_space = path.suffix != ".json"  # before a word, as SentencePiece has it

    @property
    def calls(self) -> CallFormat | None:
        """The form of the tokenizer's version."""
        match self._tokens.call_syntax:
            case "list":
                return replace(LISTED, open=" [" if self._has_space else "[", has_ids=self._tokens.has_call_ids)
            case "arguments":
                return NAMED if self._tokens.has_call_ids else replace(NAMED, before_id="")
            case _:
                return None

    @property
    def thinking(self) -> Thinking | None:
        """The tokenizer's control tokens for thinking. Only models that are asked for an effort think unprompted."""
        if self._tokens.thinking is None:
            return None
        return Thinking(*self._tokens.thinking, native=_EFFORT in self._tokens.efforts)

    def encode_fim(self, name: str) -> Callable[[str, str | None], list[int]] | None:
        """What makes the tokens of fill-in-the-middle prompts, for models of this name that were trained for it.

        Only Codestral was: the tokens for it are in the vocabularies of others too.
        """
        return self._tokens.encode_fim if self._tokens.has_fim and "codestral" in name.lower() else None

    def render(
        self, turns: Sequence[Turn], *, prefix: str = "", tools: Sequence[Tool] = (), reasoning: bool = False
    ) -> Rendered:
        """The prompt; see ``Renderer``."""
        if sum(len(turn.text.encode("utf-8", "replace")) for turn in turns) > self._most_bytes:
            raise too_long(f"more than {self._context} tokens", self._context)
        effort = _EFFORT if reasoning else _NO_EFFORT
        known = effort if effort in self._tokens.efforts else None
        return Rendered(self._tokens.encode(turns, prefix=prefix, tools=tools, effort=known))


def mistral_renderer(
    weights: Path, vocabulary: Vocabulary, *, context: int, tokenizer: Path | None = None
) -> MistralRenderer | None:
    """The renderer of a model of Mistral's; None if it has no tokenizer file.

    Args:
        weights: the model's file, beside which the tokenizer's file is looked for.
        vocabulary: the model's.
        context: the number of tokens that a prompt must stay below.
        tokenizer: the tokenizer's file, if it is known.

    Raises:
        TokenizerError: the tokenizer's file cannot be used.
    """
    path = tokenizer or find_tokenizer_file(weights)
    if path:
        return MistralRenderer(path, vocabulary, context=context)
    if is_mistral(vocabulary):
        logger.warning(
            "this looks like a model of Mistral's, and the template in its file may differ from what it was taught: "
            "put its tekken.json or tokenizer.model.v* beside it, or name that file in the model's setting tokenizer",
            extra={"weights": weights.name},
        )
    return None
