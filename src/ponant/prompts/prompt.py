"""What the engine gets: the tokens of a conversation, rendered as its model was taught to read one."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from jinja2 import TemplateError

from ponant.api.messages import FunctionCall, Message, ToolCall
from ponant.prompts.conversation import Turn, read_conversation
from ponant.prompts.errors import InvalidRequestError
from ponant.prompts.quoting import Quoting
from ponant.prompts.templates import FALLBACK, ChatTemplate, TemplateRefusedError

logger = logging.getLogger("ponant.prompts")


class Vocabulary(Protocol):
    """What a prompt must know of a model's tokens."""

    metadata: dict[str, str]

    @property
    def adds_bos(self) -> bool:
        """Whether prompts begin with the beginning-of-sequence token."""
        ...

    @property
    def bos(self) -> int | None:
        """The beginning-of-sequence token."""
        ...

    @property
    def eos(self) -> int | None:
        """The end-of-sequence token."""
        ...

    def text(self, token: int | None) -> str:
        """A token as it is written; empty for None."""
        ...

    def control_texts(self) -> list[str]:
        """How the control tokens are written."""
        ...

    def longest_piece(self) -> int:
        """Length in bytes of the longest token."""
        ...

    def tokenize(self, text: str, *, control: bool) -> list[int]:
        """The text's tokens; text that reads like a control token becomes one if ``control`` is set."""
        ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's tokens, and the forced beginning of the answer, which is at their end (empty for none)."""

    tokens: list[int]
    prefix: str


class PromptBuilder:
    """Builds the prompts of one model. Safe to use from several threads at once."""

    def __init__(self, vocabulary: Vocabulary, *, context: int) -> None:
        """``context`` is the number of tokens that a prompt must stay below."""
        self._vocabulary = vocabulary
        self._context = context
        self._quoting = Quoting(vocabulary.control_texts())
        self._quote = self._quoting.quote
        self._longest_piece = vocabulary.longest_piece()
        source = vocabulary.metadata.get("tokenizer.chat_template", FALLBACK)
        tokens = {"bos": vocabulary.text(vocabulary.bos), "eos": vocabulary.text(vocabulary.eos)}
        try:
            self._template = ChatTemplate(source, **tokens)
        except TemplateError as error:
            logger.warning("chat template not readable, using a plain one", extra={"reason": str(error)})
            source = FALLBACK
            self._template = ChatTemplate(source, **tokens)
        self._is_mistral = vocabulary.metadata.get("tokenizer.ggml.pre") == "tekken" or "[INST]" in source

    def build(self, messages: Sequence[Message], *, system: str | None = None) -> Prompt:
        """The prompt for a conversation.

        Args:
            messages: the conversation, not empty.
            system: a system text to put before it.

        Raises:
            InvalidRequestError: the messages break a rule, or are too long for the context.
        """
        conversation = read_conversation(messages, mistral_tool_ids=self._is_mistral)
        turns = list(conversation.turns)
        if system:
            head = turns.pop(0) if turns[0].role == "system" else None
            turns.insert(0, Turn("system", f"{system}\n\n{head.text}" if head and head.text else system))
        try:
            rendered = self._template.render([self._quoted(turn) for turn in turns])
        except TemplateRefusedError as error:
            raise InvalidRequestError(f"The model's chat template refuses these messages: {error}") from None
        except RecursionError:
            raise InvalidRequestError("The arguments of a tool call are nested too deep", param="messages") from None
        return Prompt(self._tokenize(rendered + self._quote(conversation.prefix)), conversation.prefix)

    def _quoted(self, turn: Turn) -> Turn:
        calls = [
            ToolCall.model_construct(
                id=self._quote(call.id),
                type=call.type,
                index=call.index,
                function=FunctionCall.model_construct(
                    name=self._quote(call.function.name), arguments=self._quote_values(call.function.arguments)
                ),
            )
            for call in turn.tool_calls
        ]
        return replace(
            turn,
            text=self._quote(turn.text),
            tool_calls=calls,
            tool_call_id=turn.tool_call_id and self._quote(turn.tool_call_id),
            name=turn.name and self._quote(turn.name),
        )

    def _quote_values(self, value: Any) -> Any:
        match value:
            case str():
                return self._quote(value)
            case dict():
                items = cast("dict[str, Any]", value).items()
                return {self._quote(key): self._quote_values(item) for key, item in items}
            case list():
                return [self._quote_values(item) for item in value]
            case _:
                return value

    def _tokenize(self, rendered: str) -> list[int]:
        if len(rendered.encode("utf-8", "replace")) > self._context * self._longest_piece:
            raise too_long(f"more than {self._context} tokens", self._context)
        tokens: list[int] = []
        for part, control in self._quoting.parts(rendered):
            tokens += self._vocabulary.tokenize(part, control=control)
        bos = self._vocabulary.bos
        if self._vocabulary.adds_bos and bos is not None and tokens[:1] != [bos]:
            tokens.insert(0, bos)
        if not tokens:
            raise InvalidRequestError("The prompt is empty", param="messages")
        return tokens


def too_long(size: str, context: int) -> InvalidRequestError:
    """The error for a prompt of some size that the context has no room for."""
    return InvalidRequestError(
        f"Prompt contains {size}, too large for model with {context} maximum context length",
        kind="context_length_exceeded",
        param="messages",
    )
