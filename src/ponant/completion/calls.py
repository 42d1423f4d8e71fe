"""Calls of tools in streams: in pieces, or whole for clients that take every piece for a call."""

from typing import Literal

from ponant.completion.parts import Arguments, CallBegun, Part

CallStyle = Literal["pieces", "whole", "together"]
"""Form of calls in a stream: in pieces as they are written, each whole once it is complete, or all whole at the end."""


class CallHolder:
    """Holds the calls of one choice back until they are complete."""

    def __init__(self, style: CallStyle) -> None:
        """Hold nothing.

        Args:
            style: form of the calls. With "together", the events of held pieces are sent without them.
        """
        self._style = style
        self._held: list[Part] = []

    def push(self, parts: list[Part], *, is_end: bool) -> list[Part] | None:
        """Return the parts to send now; None if there is nothing to send.

        Args:
            parts: new parts, in their order.
            is_end: True if these are the last ones.
        """
        shown = parts if self._style == "pieces" else self._without_incomplete_calls(parts)
        if is_end:
            shown = shown + self._held
            self._held = []
        is_sent = shown or is_end or (parts and self._style == "together")
        return shown if is_sent else None

    def _without_incomplete_calls(self, parts: list[Part]) -> list[Part]:
        shown: list[Part] = []
        for part in parts:
            if isinstance(part, CallBegun) and self._style == "whole":
                shown += self._held
                self._held = [part]
            elif isinstance(part, CallBegun | Arguments):
                self._held.append(part)
            else:
                shown.append(part)
        return shown
