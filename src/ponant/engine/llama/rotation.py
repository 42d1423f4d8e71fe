"""Rotation of adapters: each step has sequences of one adapter."""

from collections.abc import Iterable

STEPS_PER_TURN = 4
"""Consecutive steps of an adapter. The first one takes longer, as llama.cpp rebuilds its compute graph."""


class Rotation:
    """Turns of adapters, the one that has waited longest first. None stands for the base model.

    A turn lasts ``STEPS_PER_TURN`` steps, but only one while prompts are computed: a step with prefill is as long as
    other completions may wait, and the prefill policy needs steps of other completions in between.
    """

    def __init__(self) -> None:
        self._order: list[str | None] = []
        self._latest: str | None = None
        self._steps = 0

    def order(self, working: Iterable[str | None]) -> list[str | None]:
        """Return the adapters of some sequences, each once, in the order of their turns."""
        adapters = dict.fromkeys(working)
        self._order = [known for known in self._order if known in adapters]
        self._order += [new for new in adapters if new not in self._order]
        return list(self._order)

    def take_step(self, adapter: str | None, *, is_last: bool) -> None:
        """Record a step of an adapter; ``is_last`` ends its turn."""
        self._steps = self._steps + 1 if adapter == self._latest else 1
        self._latest = adapter
        self._order.remove(adapter)
        if is_last or self._steps >= STEPS_PER_TURN:
            self._order.append(adapter)
            self._steps = 0
        else:
            self._order.insert(0, adapter)
