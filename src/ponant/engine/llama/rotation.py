"""Whose turn it is among the adapters that have work: the sequences of one of them are computed in a step."""

from collections.abc import Iterable

STEPS_PER_TURN = 4
"""How many steps an adapter has in a row: the first one takes longer, as llama.cpp has to rebuild what it computes."""


class Rotation:
    """Adapters take turns, the one that has waited longest first. None stands for the model without an adapter.

    A turn lasts ``STEPS_PER_TURN`` steps. But while prompts are computed it lasts one: a step with tokens of prompts is
    as long as others can be expected to wait, and steps of others are what they are paced by.
    """

    def __init__(self) -> None:
        self._order: list[str | None] = []
        self._latest: str | None = None
        self._steps = 0

    def order(self, working: Iterable[str | None]) -> list[str | None]:
        """The adapters that have work, in the order in which they should be computed."""
        adapters = dict.fromkeys(working)
        self._order = [known for known in self._order if known in adapters]
        self._order += [new for new in adapters if new not in self._order]
        return list(self._order)

    def take_step(self, adapter: str | None, *, is_last: bool) -> None:
        """Note that a step of an adapter is computed; ``is_last``: it ends the turn."""
        self._steps = self._steps + 1 if adapter == self._latest else 1
        self._latest = adapter
        self._order.remove(adapter)
        if is_last or self._steps >= STEPS_PER_TURN:
            self._order.append(adapter)
            self._steps = 0
        else:
            self._order.insert(0, adapter)
