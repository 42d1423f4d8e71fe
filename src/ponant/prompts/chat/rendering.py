"""Rendering of turns to tokens through the model's chat template."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from jinja2 import TemplateError

from ponant.api.chat import Tool
from ponant.api.messages import FunctionCall, ToolCall
from ponant.errors import InvalidRequestError
from ponant.prompts.answer.instructions import describe
from ponant.prompts.answer.output_format import Thinking
from ponant.prompts.chat.templates import FALLBACK, ChatTemplate, TemplateRefusedError
from ponant.prompts.chat.turns import Turn
from ponant.prompts.escaping import Escaping
from ponant.prompts.tokenizer import PromptTokenizer, template_markers
from ponant.prompts.tools.call_formats import CallFormat
from ponant.prompts.vocabulary import Vocabulary, is_mistral

logger = logging.getLogger("ponant.prompts")


@dataclass(frozen=True, slots=True)
class Rendered:
    """Tokens of a conversation; ``begins_thinking`` is True if they end with the opening of the answer's thinking."""

    tokens: list[int]
    begins_thinking: bool = False


class Renderer(Protocol):
    """Renderer of conversations to the tokens that a model was trained on."""

    @property
    def calls(self) -> CallFormat | None:
        """Format of the model's calls; None if it has to be instructed."""
        ...

    @property
    def thinking(self) -> Thinking | None:
        """Delimiters of the model's thinking; None if it has to be instructed."""
        ...

    @property
    def is_quick(self) -> bool:
        """True if the time for a conversation is proportional to its length."""
        ...

    @property
    def needs_mistral_tool_ids(self) -> bool:
        """True if tool call ids must be 9 letters or digits."""
        ...

    def render(
        self, turns: Sequence[Turn], *, prefix: str = "", tools: Sequence[Tool] = (), reasoning: bool = False
    ) -> Rendered:
        """Render a prompt.

        Args:
            turns: the conversation.
            prefix: forced beginning of the answer.
            tools: tools to describe, for models with ``calls``.
            reasoning: True if the model should think before it answers, for models with ``thinking``.

        Raises:
            InvalidRequestError: the model cannot express these turns, or they exceed the context.
        """
        ...


class TemplateRenderer:
    """Renderer through the Jinja template of the model file. Thread-safe."""

    def __init__(self, vocabulary: Vocabulary, *, context: int) -> None:
        """Render prompts of fewer than ``context`` tokens."""
        self._vocabulary = vocabulary
        self._context = context
        markers = template_markers(vocabulary)
        self._tokenizer = PromptTokenizer(vocabulary, markers.values())
        self._escaping = Escaping([*vocabulary.control_tokens(), *markers])
        self._escape = self._escaping.escape
        self._longest_piece = vocabulary.longest_piece()
        source = vocabulary.metadata.get("tokenizer.chat_template", FALLBACK)
        tokens = {"bos": vocabulary.text(vocabulary.bos), "eos": vocabulary.text(vocabulary.eos)}
        try:
            self._template = ChatTemplate(source, **tokens)
        except TemplateError as error:
            logger.warning("chat template not readable, using a plain one", extra={"reason": str(error)})
            self._template = ChatTemplate(FALLBACK, **tokens)
        self.needs_mistral_tool_ids = is_mistral(vocabulary)
        self.is_quick = self._template.is_quick

    @property
    def calls(self) -> CallFormat | None:
        """Format in which the template writes calls; None if it has none."""
        return self._template.calls

    @property
    def thinking(self) -> Thinking | None:
        """Delimiters of the thinking that the template supports; None if it supports none."""
        return self._template.thinking

    def render(
        self, turns: Sequence[Turn], *, prefix: str = "", tools: Sequence[Tool] = (), reasoning: bool = False
    ) -> Rendered:
        """Render a prompt; see ``Renderer``."""
        try:
            rendered = self._template.render(
                [self._escaped(turn) for turn in turns],
                tools=[self._escape_values(describe(tool)) for tool in tools],
                reasoning=reasoning,
            )
        except TemplateRefusedError as error:
            raise InvalidRequestError(f"The model's chat template refuses these messages: {error}") from None
        except RecursionError:
            raise InvalidRequestError("The arguments of a tool call are nested too deep", param="messages") from None
        thinking = self._template.thinking
        begins_thinking = thinking is not None and rendered.rstrip().endswith(thinking.open)
        return Rendered(self._tokenize(rendered + self._escape(prefix)), begins_thinking)

    def _escaped(self, turn: Turn) -> Turn:
        calls = [
            ToolCall.model_construct(
                id=self._escape(call.id),
                type=call.type,
                index=call.index,
                function=FunctionCall.model_construct(
                    name=self._escape(call.function.name), arguments=self._escape_values(call.function.arguments)
                ),
            )
            for call in turn.tool_calls
        ]
        return replace(
            turn,
            text=self._escape(turn.text),
            tool_calls=calls,
            tool_call_id=turn.tool_call_id and self._escape(turn.tool_call_id),
            name=turn.name and self._escape(turn.name),
            thinking=self._escape(turn.thinking),
        )

    def _escape_values(self, value: Any) -> Any:
        match value:
            case str():
                return self._escape(value)
            case dict():
                items = cast("dict[str, Any]", value).items()
                return {self._escape(key): self._escape_values(item) for key, item in items}
            case list():
                return [self._escape_values(item) for item in value]
            case _:
                return value

    def _tokenize(self, rendered: str) -> list[int]:
        if len(rendered.encode("utf-8", "replace")) > self._context * self._longest_piece:
            raise too_long(f"more than {self._context} tokens", self._context)
        tokens: list[int] = []
        for part, control in self._escaping.parts(rendered):
            tokens += self._tokenizer.tokens(part, may_be_control=control, continues=bool(tokens))
        bos = self._vocabulary.bos
        if self._vocabulary.adds_bos and bos is not None and tokens[:1] != [bos]:
            tokens.insert(0, bos)
        return tokens


def too_long(size: str, context: int) -> InvalidRequestError:
    """Return the error for a prompt that exceeds the context."""
    return InvalidRequestError(
        f"Prompt contains {size}, too large for model with {context} maximum context length",
        kind="context_length_exceeded",
        param="messages",
    )
