"""Longer trials of tests, which only ``make soak`` runs whole."""

import os

import pytest

SOAK = bool(os.environ.get("PONANT_SOAK"))
"""True in ``make soak``."""
ANSWERS = 8 if SOAK else 3
"""Answers per request for which the grammar leaves a tiny model any choice."""
soaked = pytest.mark.skipif(not SOAK, reason="takes long; run: make soak")


def examples(count: int) -> int:
    """Return the number of random examples of a property that ``make soak`` checks ``count`` times."""
    return count if SOAK else max(20, count // 4)
