"""Draft tokens: guesses of a completion's next tokens, several of which are verified in one batch.

Guesses come from a text that the completion may repeat: the request's prediction, or the prompt. A ``Follower`` tracks
the completion's place in the text. Every drawn token is compared with its guess, drafted or not. So the acceptance rate
is measured before drafts cost anything.
"""

import operator
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_DRAFTED = 63
"""Longest draft in tokens: with the token before it, the rows that llama.cpp's attention kernels take at once."""

_MATCHED = 3
"""Tokens that must match at a place in the text to follow it from there."""
_MEMORY = 0.97
"""Weight of past guesses after one more token."""
_TRIALS_BEFORE = 2.0
_PROMPT_HITS_BEFORE = 1.0
_PREDICTION_HITS_BEFORE = 1.8
"""Prior of the acceptance rate: right guesses out of ``_TRIALS_BEFORE``."""


class DraftText:
    """Text that completions may repeat, indexed once for all choices of a request."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens
        self._places: dict[tuple[int, ...], list[int]] = {}
        for end in range(_MATCHED, len(tokens)):
            self._places.setdefault(tuple(tokens[end - _MATCHED : end]), []).append(end)

    def find(self, recent: Sequence[int], after: int) -> int | None:
        """Return the place after an occurrence of the ``recent`` tokens: the first from ``after`` on, or the last."""
        places = self._places.get(tuple(recent))
        return places[min(bisect_left(places, after), len(places) - 1)] if places else None


class Follower:
    """Place of a completion in a text that it may repeat.

    An ``expected`` text probably begins like the completion, and resumes after each difference. Another text is
    followed only from places that match.
    """

    def __init__(self, text: DraftText, *, expected: bool) -> None:
        self._text = text
        self._expected = expected
        self._place = 0 if expected and text.tokens else None
        self._last_place = 0
        self._just_found = False
        self._hits = _PREDICTION_HITS_BEFORE if expected else _PROMPT_HITS_BEFORE
        self._trials = _TRIALS_BEFORE

    @property
    def trust(self) -> float:
        """Estimated probability that the next guess is right."""
        return self._hits / self._trials

    def observe(self, recent: Sequence[int]) -> None:
        """Learn from a drawn token; ``recent`` are the last tokens of the completion, the newest one last."""
        if self._place is not None:
            hit = self._text.tokens[self._place] == recent[-1]
            self._hits = self._hits * _MEMORY + hit
            self._trials = self._trials * _MEMORY + 1
            if hit and self._just_found and self._expected:
                # The matched tokens count as right guesses too, once the next one confirms the place.
                self._hits += _MATCHED
                self._trials += _MATCHED
            self._just_found = False
            self._last_place = self._place + 1
            self._place = self._place + 1 if hit else None
        if self._place is None:
            self._place = self._text.find(recent, self._last_place)
            self._just_found = True
        if self._place == len(self._text.tokens):
            self._place = None

    def guess(self, count: int) -> list[int]:
        """Return the next tokens of the text, at most ``count``."""
        return [] if self._place is None else self._text.tokens[self._place : self._place + count]


class Drafter:
    """Source of the draft tokens of one completion.

    Attributes:
        accepted: number of accepted draft tokens of the prediction.
        rejected: number of rejected draft tokens of the prediction.
    """

    def __init__(self, prompt: DraftText, prediction: DraftText | None) -> None:
        """Follow a prompt and an optional prediction."""
        self.accepted = 0
        self.rejected = 0
        self._recent = prompt.tokens[-_MATCHED:]
        self._prompt = Follower(prompt, expected=False)
        self._prediction = Follower(prediction, expected=True) if prediction else None
        self._from_prediction = False

    def observe(self, token: int) -> None:
        """Learn from a drawn token."""
        self._recent = [*self._recent[1 - _MATCHED :], token]
        self._prompt.observe(self._recent)
        if self._prediction:
            self._prediction.observe(self._recent)

    def draft(self, limit: int) -> tuple[list[int], float]:
        """Return the best draft, and the probability that each of its tokens is right after the one before.

        Args:
            limit: most tokens that are useful.
        """
        count = min(limit, MOST_DRAFTED)
        prompted = self._prompt.guess(count)
        self._from_prediction = False
        if self._prediction and (predicted := self._prediction.guess(count)):
            agreed = all(map(operator.eq, prompted, predicted))
            if agreed or self._prediction.trust >= self._prompt.trust:
                self._from_prediction = True
                both = prompted and agreed
                return predicted, max(self._prediction.trust, self._prompt.trust if both else 0.0)
        return prompted, self._prompt.trust

    def settle(self, accepted: int, rejected: int) -> None:
        """Count the accepted and rejected tokens of the last draft."""
        if self._from_prediction:
            self.accepted += accepted
            self.rejected += rejected


def choose_lengths(drafts: Sequence[tuple[int, float]], rows: int, seconds: NDArray[np.float64]) -> list[int]:
    """Return the number of tokens of each draft to verify, for the most expected tokens per second.

    Args:
        drafts: length of each draft, and the probability that each of its tokens is right after the one before.
        rows: rows of the step without drafts, each of which gives one token.
        seconds: duration of steps with 1, 2, ... rows, shape (most rows of the step,).
    """
    longest = max((length for length, _ in drafts), default=0)
    depths = np.arange(1, longest + 1)
    lengths = np.array([length for length, _ in drafts])[:, None]
    trust = np.array([trust for _, trust in drafts])[:, None]
    gains = np.where(depths <= lengths, trust**depths, 0.0).ravel()
    likeliest = np.argsort(-gains, kind="stable")[: min(np.count_nonzero(gains), len(seconds) - rows)]
    tokens = rows + np.concatenate([[0.0], np.cumsum(gains[likeliest])])
    best = int(np.argmax(tokens / seconds[rows - 1 : rows + len(likeliest)]))
    kept: list[int] = np.bincount(likeliest[:best] // max(longest, 1), minlength=len(drafts)).tolist()
    return kept
