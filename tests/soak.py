"""Longer trials of tests, which only ``make soak`` runs whole."""

import os
from collections.abc import Sequence
from typing import TypeVar

import pytest

Case = TypeVar("Case")

SOAK = bool(os.environ.get("PONANT_SOAK"))
"""True in ``make soak``."""
ANSWERS = 8 if SOAK else 3
"""Answers per request for which the grammar leaves a tiny model any choice."""
soaked = pytest.mark.skipif(not SOAK, reason="takes long; run: make soak")


def some(cases: Sequence[Case], *daily: int) -> Sequence[Case]:
    """Return the cases at some positions, or all of them in ``make soak``."""
    return cases if SOAK else [cases[position] for position in daily]


def examples(count: int) -> int:
    """Return the number of random examples of a property that ``make soak`` checks ``count`` times."""
    return count if SOAK else max(20, count // 4)
