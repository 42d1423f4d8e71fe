"""Format of an answer's output, as the answer's reader needs it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ponant.prompts.tools.call_formats import CallFormat


@dataclass(frozen=True, slots=True)
class Thinking:
    """Delimiters of the thinking before an answer.

    Attributes:
        open: text or control token before it.
        close: text or control token after it.
        begun: True if the prompt ends with ``open``.
        native: True if the model was trained to think, so that the grammar need not force it.
    """

    open: str
    close: str
    begun: bool = False
    native: bool = True


class TextFilter(Protocol):
    """Filter of an answer's text, which arrives in pieces."""

    @property
    def finished(self) -> bool:
        """True if the rest of the answer is to be ignored."""
        ...

    def push(self, text: str) -> str:
        """Take a piece of the text; returns the text that can be shown now."""
        ...

    def finish(self) -> str:
        """Return the remaining text to show at the end of the answer."""
        ...


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """Format in which a model writes an answer: plain text by default.

    Attributes:
        calls: format of tool calls; None if the answer cannot have any.
        functions: names of the functions that may be called.
        required: True if only calls follow the thinking.
        untagged: True if JSON that reads like a call is one without its format's tags, or in a Markdown fence.
        thinking: delimiters of the thinking; None if there is none.
        controls: texts of the control tokens that structure the answer, by token.
        end_tokens: tokens that end the answer, in addition to the model's end tokens.
        filter: factory of a filter for the text of one completion.
    """

    calls: CallFormat | None = None
    functions: frozenset[str] = frozenset()
    required: bool = False
    untagged: bool = True
    thinking: Thinking | None = None
    controls: dict[int, str] = field(default_factory=dict[int, str])
    end_tokens: frozenset[int] = frozenset()
    filter: Callable[[], TextFilter] | None = None


PLAIN = OutputFormat()
"""Text only."""
