"""What the engine gets for a conversation, and what must be known to read its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ponant.api.messages import Message
from ponant.errors import InvalidRequestError
from ponant.prompts.answer.grammar import answer_grammar, named_literal
from ponant.prompts.answer.instructions import joined, reasoning_hint, schema_hint, tools_hint
from ponant.prompts.answer.output_format import PLAIN, Reading, Thinking
from ponant.prompts.answer.spec import FREE, AnswerForm
from ponant.prompts.chat.conversation import Conversation, Turn, read_conversation, without_tools
from ponant.prompts.chat.rendering import Rendered, Renderer, TemplateRenderer
from ponant.prompts.tools.call_formats import TAGGED, ArgumentCalls, CallForm, JsonCalls
from ponant.prompts.vocabulary import Vocabulary

_TOLD = Thinking("<think>", "</think>", native=False)
"""What stands around the thinking of models that do not think by themselves."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's tokens, and what comes of them.

    ``prefix`` is the forced beginning of the answer, which is at their end (empty for none); ``grammar`` what the
    answer must obey (None for anything), ``reading`` how to read it.
    """

    tokens: list[int]
    prefix: str = ""
    grammar: str | None = None
    reading: Reading = PLAIN


class PromptBuilder:
    """Builds the prompts of one model. Safe to use from several threads at once."""

    def __init__(self, vocabulary: Vocabulary, *, context: int, renderer: Renderer | None = None) -> None:
        """Build prompts.

        Args:
            vocabulary: the model's.
            context: the number of tokens that a prompt must stay below.
            renderer: of conversations; the template of the model's file by default.
        """
        self._context = context
        self._controls = vocabulary.control_tokens()
        self._renderer = renderer or TemplateRenderer(vocabulary, context=context)

    def build(
        self,
        messages: Sequence[Message],
        *,
        system: str | None = None,
        form: AnswerForm = FREE,
        max_tokens: int | None = None,
    ) -> Prompt:
        """The prompt for a conversation.

        Args:
            messages: the conversation, not empty.
            system: a system text to put before it.
            form: what the answer may be.
            max_tokens: the most tokens that the answer will have.

        Raises:
            InvalidRequestError: the messages break a rule, or are too long for the context.
        """
        rendered, conversation, calls, thinking = self._render(messages, system, form)
        if thinking:
            thinking = replace(thinking, begun=rendered.begins_thinking)
        grammar = answer_grammar(
            form,
            calls or TAGGED,
            thinking,
            literal=named_literal(self._controls),
            most_thinking=max(1, (max_tokens or self._context // 2) // 2),
        )
        reading = self._reading(form, calls or TAGGED, thinking)
        return Prompt(rendered.tokens, conversation.prefix, grammar, reading)

    def tokens(self, messages: Sequence[Message], *, form: AnswerForm = FREE) -> list[int]:
        """The tokens alone of the prompt that ``build`` makes, without the grammar. Raises InvalidRequestError."""
        return self._render(messages, None, form)[0].tokens

    def _render(
        self, messages: Sequence[Message], system: str | None, form: AnswerForm
    ) -> tuple[Rendered, Conversation, CallForm | None, Thinking | None]:
        conversation = read_conversation(messages, mistral_tool_ids=self._renderer.needs_mistral_tool_ids)
        calls = self._form_of_calls(form)
        thinking = (self._renderer.thinking or _TOLD) if form.reasoning else None
        turns = list(conversation.turns)
        if form.tools and not calls:
            turns = without_tools(turns)
        hints = [
            tools_hint(form) if form.tools and not calls else None,
            schema_hint(form.schema) if form.schema is not None else None,
            reasoning_hint(thinking) if thinking and not thinking.native else None,
        ]
        rendered = self._renderer.render(
            _with_system(turns, system, joined(hints)),
            prefix=conversation.prefix,
            tools=form.tools if calls else (),
            reasoning=form.reasoning,
        )
        if not rendered.tokens:
            raise InvalidRequestError("The prompt is empty", param="messages")
        return rendered, conversation, calls, thinking

    def _form_of_calls(self, form: AnswerForm) -> CallForm | None:
        """How the model writes calls; None if it must be told."""
        calls = self._renderer.calls if form.tools else None
        if isinstance(calls, ArgumentCalls) and not all(text in self._controls for text in calls.controls):
            return None  # nothing would tell them from text
        if isinstance(calls, JsonCalls) and not calls.trigger and form.schema is not None:
            return None  # nor these from a document
        return calls

    def _reading(self, form: AnswerForm, calls: CallForm, thinking: Thinking | None) -> Reading:
        """How an answer of this form is read."""
        has_calls = form.calls != "none"
        texts = [*(calls.controls if has_calls else ()), *((thinking.open, thinking.close) if thinking else ())]
        return Reading(
            calls=calls if has_calls else None,
            functions=frozenset(function.name for function in form.functions) if has_calls else frozenset(),
            required=form.calls == "required",
            untagged=form.schema is None or not has_calls,
            thinking=thinking,
            controls={self._controls[text]: text for text in texts if text in self._controls},
        )


def _with_system(turns: Sequence[Turn], before: str | None, after: str | None) -> list[Turn]:
    """The turns, with texts before and after what the system message says."""
    if not before and not after:
        return list(turns)
    head, rest = (turns[0], turns[1:]) if turns[:1] and turns[0].role == "system" else (None, turns)
    return [Turn("system", joined([before, head.text if head else None, after])), *rest]
