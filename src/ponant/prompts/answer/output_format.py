"""What must be known of a prompt to read the answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ponant.prompts.tools.call_formats import CallFormat


@dataclass(frozen=True, slots=True)
class Thinking:
    """What stands around the thinking before an answer.

    ``begun``: the prompt ends with the beginning of it. ``native``: the model thinks by itself, so that the form need
    not be forced on it.
    """

    open: str
    close: str
    begun: bool = False
    native: bool = True


class TextFilter(Protocol):
    """Takes the text of an answer, in pieces, and gives what of it is to be shown."""

    @property
    def finished(self) -> bool:
        """Whether nothing more is to be shown, whatever more the model writes."""
        ...

    def push(self, text: str) -> str:
        """Take more of the text; returns what may be shown."""
        ...

    def finish(self) -> str:
        """What is left to show once the model writes no more."""
        ...


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How to read an answer: as plain text, unless it may have calls of ``functions`` or thinking in it.

    ``required``: after any thinking there is nothing but calls. ``untagged``: JSON that reads like a call is one, also
    without what stands around calls in their form, or in a Markdown fence instead.

    ``controls`` are the control tokens that count, with what they are called. ``end_tokens`` end the answer, beside
    those that end all of the model's. ``filter``, if there is one, makes a filter for the text of one completion.
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
"""Nothing but text."""
