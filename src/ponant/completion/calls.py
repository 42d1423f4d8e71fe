"""Tool calls in streams: whole, as most clients of the Mistral API expect them, or in pieces."""

from typing import Literal

from ponant.completion.parts import Arguments, CallBegun, Part

CallStyle = Literal["whole", "pieces"]
"""Form of calls in a stream: all calls whole in the last chunk of a choice, or in pieces as they are written."""


class CallHolder:
    """Holds the calls of one choice back until the choice ends, unless they are streamed in pieces."""

    def __init__(self, style: CallStyle) -> None:
        """Hold nothing; ``style`` is the form of the calls."""
        self._style = style
        self._held: list[Part] = []

    def push(self, parts: list[Part], *, is_end: bool) -> list[Part] | None:
        """Return the parts to send now; None if there is nothing to send.

        Args:
            parts: new parts, in their order.
            is_end: True if these are the last ones.
        """
        shown = parts if self._style == "pieces" else self._without_calls(parts)
        if is_end:
            shown = shown + self._held
            self._held = []
        return shown if shown or is_end else None

    def _without_calls(self, parts: list[Part]) -> list[Part]:
        calls = [part for part in parts if isinstance(part, CallBegun | Arguments)]
        self._held += calls
        return [part for part in parts if not isinstance(part, CallBegun | Arguments)] if calls else parts
