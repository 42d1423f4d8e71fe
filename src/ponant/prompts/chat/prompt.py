"""Prompts of conversations: token ids, with the grammar and the output format of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ponant.api.messages import Message
from ponant.errors import InvalidRequestError
from ponant.prompts.answer.grammar import answer_grammar, terminal_writer
from ponant.prompts.answer.instructions import joined, reasoning_instructions, schema_instructions, tools_instructions
from ponant.prompts.answer.output_format import PLAIN, OutputFormat, Thinking
from ponant.prompts.answer.spec import FREE, AnswerSpec
from ponant.prompts.chat.conversation import Conversation, read_conversation
from ponant.prompts.chat.rendering import Rendered, Renderer, TemplateRenderer
from ponant.prompts.chat.turns import Turn, without_tools
from ponant.prompts.tools.call_formats import TAGGED, ArgumentCalls, CallFormat, JsonCalls
from ponant.prompts.vocabulary import Vocabulary

_DEFAULT_THINKING = Thinking("<think>", "</think>", native=False)
"""Delimiters of the thinking of models that were not trained to think."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens of a prompt, and the format of its answer.

    Attributes:
        tokens: token ids, including those of ``prefix`` at the end.
        prefix: forced beginning of the answer; empty for none.
        grammar: grammar of the answer; None for any text.
        output_format: format of the answer's output.
        places: index of each token in ``prefix``, if that is the text of the prompt itself.
    """

    tokens: list[int]
    prefix: str = ""
    grammar: str | None = None
    output_format: OutputFormat = PLAIN
    places: Sequence[int] = ()


class PromptBuilder:
    """Builder of the chat prompts of one model. Thread-safe."""

    def __init__(self, vocabulary: Vocabulary, *, context: int, renderer: Renderer | None = None) -> None:
        """Build prompts for a model.

        Args:
            vocabulary: the model's vocabulary.
            context: number of tokens that a prompt must stay below.
            renderer: renderer of conversations; by default the chat template of the model file.
        """
        self._context = context
        self._controls = vocabulary.control_tokens()
        self._renderer = renderer or TemplateRenderer(vocabulary, context=context)

    @property
    def is_quick(self) -> bool:
        """True if the time for a conversation without tools is proportional to its length."""
        return self._renderer.is_quick

    def build(
        self,
        messages: Sequence[Message],
        *,
        system: str | None = None,
        spec: AnswerSpec = FREE,
        max_tokens: int | None = None,
        any_order: bool = False,
    ) -> Prompt:
        """Build the prompt of a conversation.

        Args:
            messages: the conversation, at least one message.
            system: system text to put before it.
            spec: specification of the answer.
            max_tokens: maximum length of the answer in tokens.
            any_order: as for ``read_conversation``.

        Raises:
            InvalidRequestError: the messages break a rule, or exceed the context.
        """
        rendered, conversation, calls, thinking = self._render(messages, system, spec, any_order=any_order)
        if thinking:
            thinking = replace(thinking, begun=rendered.begins_thinking)
        grammar = answer_grammar(
            spec,
            calls or TAGGED,
            thinking,
            terminal=terminal_writer(self._controls),
            most_thinking=max(1, (max_tokens or self._context // 2) // 2),
        )
        output_format = self._output_format(spec, calls or TAGGED, thinking)
        return Prompt(rendered.tokens, conversation.prefix, grammar, output_format)

    def tokens(self, messages: Sequence[Message], *, spec: AnswerSpec = FREE) -> list[int]:
        """Return the tokens of the prompt that ``build`` makes, without its grammar. Raises InvalidRequestError."""
        return self._render(messages, None, spec)[0].tokens

    def _render(
        self, messages: Sequence[Message], system: str | None, spec: AnswerSpec, *, any_order: bool = False
    ) -> tuple[Rendered, Conversation, CallFormat | None, Thinking | None]:
        conversation = read_conversation(
            messages, mistral_tool_ids=self._renderer.needs_mistral_tool_ids, any_order=any_order
        )
        calls = self._call_format(spec)
        thinking = (self._renderer.thinking or _DEFAULT_THINKING) if spec.reasoning else None
        turns = list(conversation.turns)
        if spec.tools and not calls:
            turns = without_tools(turns)
        instructions = [
            tools_instructions(spec) if spec.tools and not calls else None,
            schema_instructions(spec.schema) if spec.schema is not None else None,
            reasoning_instructions(thinking) if thinking and not thinking.native else None,
        ]
        rendered = self._renderer.render(
            _with_system(turns, system, joined(instructions)),
            prefix=conversation.prefix,
            tools=spec.tools if calls else (),
            reasoning=spec.reasoning,
        )
        if not rendered.tokens:
            raise InvalidRequestError("The prompt is empty", param="messages")
        return rendered, conversation, calls, thinking

    def _call_format(self, spec: AnswerSpec) -> CallFormat | None:
        """Return the model's own format of calls; None if it has to be instructed."""
        calls = self._renderer.calls if spec.tools else None
        if isinstance(calls, ArgumentCalls) and not all(text in self._controls for text in calls.controls):
            return None  # calls could not be distinguished from text
        if isinstance(calls, JsonCalls) and not calls.trigger and spec.schema is not None:
            return None  # nor from a JSON document
        return calls

    def _output_format(self, spec: AnswerSpec, calls: CallFormat, thinking: Thinking | None) -> OutputFormat:
        """Return the output format of an answer."""
        has_calls = spec.calls != "none"
        texts = [*(calls.controls if has_calls else ()), *((thinking.open, thinking.close) if thinking else ())]
        return OutputFormat(
            calls=calls if has_calls else None,
            functions=frozenset(function.name for function in spec.functions) if has_calls else frozenset(),
            required=spec.calls == "required",
            untagged=spec.schema is None or not has_calls,
            thinking=thinking,
            controls={self._controls[text]: text for text in texts if text in self._controls},
        )


def _with_system(turns: Sequence[Turn], before: str | None, after: str | None) -> list[Turn]:
    """Return the turns with texts before and after the text of the system message."""
    if not before and not after:
        return list(turns)
    head, rest = (turns[0], turns[1:]) if turns[:1] and turns[0].role == "system" else (None, turns)
    return [Turn("system", joined([before, head.text if head else None, after])), *rest]
