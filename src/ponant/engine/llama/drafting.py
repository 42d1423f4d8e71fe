"""Guessing the next tokens of a completion, so that several can be verified in one batch.

Guesses come from a text that the completion may be repeating: a prediction that the client gave, or the prompt. A
``Follower`` keeps track of where in that text the completion is. Each token that is drawn shows whether the guess for
it was right, also when nothing was drafted, so that how far guesses can be trusted is known before any is paid for.
"""

import operator
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_DRAFTED = 63
"""The longest draft: with the token before it, as many rows as llama.cpp's kernels for attention take at once."""

_MATCHED = 3
"""How many tokens must be the same for a place in the text to be taken for the one where the completion is."""
_MEMORY = 0.97
"""How much of the past counts after one more token."""
_TRIALS_BEFORE = 2.0
_PROMPT_HITS_BEFORE = 1.0
_PREDICTION_HITS_BEFORE = 1.8
"""What is believed of a text before anything is known: so many right guesses in ``_TRIALS_BEFORE``."""


class DraftText:
    """A text that a completion may repeat, made searchable once for all of a request's completions."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens
        self._places: dict[tuple[int, ...], list[int]] = {}
        for end in range(_MATCHED, len(tokens)):
            self._places.setdefault(tuple(tokens[end - _MATCHED : end]), []).append(end)

    def find(self, recent: Sequence[int], after: int) -> int | None:
        """Where the text goes on after the ``recent`` tokens: the first such place from ``after`` on, or the last."""
        places = self._places.get(tuple(recent))
        return places[min(bisect_left(places, after), len(places) - 1)] if places else None


class Follower:
    """Follows a completion through a text that it may be repeating.

    A text that is ``expected`` is thought to begin with the completion and to go on with it after each difference; of
    another one that is only found out.
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
        """How likely the next guess is right."""
        return self._hits / self._trials

    def observe(self, recent: Sequence[int]) -> None:
        """Take note of what was drawn: ``recent`` are the last tokens of the completion, the newest one last."""
        if self._place is not None:
            hit = self._text.tokens[self._place] == recent[-1]
            self._hits = self._hits * _MEMORY + hit
            self._trials = self._trials * _MEMORY + 1
            if hit and self._just_found and self._expected:
                # The tokens by which the place was found count as guesses too, once the next one shows it is the place.
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
        """The next tokens if the completion goes on as the text does, ``count`` at the most."""
        return [] if self._place is None else self._text.tokens[self._place : self._place + count]


class Drafter:
    """Guesses the next tokens of one completion.

    Attributes:
        accepted, rejected: of the drafted tokens that came from the prediction, how many were right and wrong.
    """

    def __init__(self, prompt: DraftText, prediction: DraftText | None) -> None:
        """Follow a prompt and, if there is one, a prediction."""
        self.accepted = 0
        self.rejected = 0
        self._recent = prompt.tokens[-_MATCHED:]
        self._prompt = Follower(prompt, expected=False)
        self._prediction = Follower(prediction, expected=True) if prediction else None
        self._from_prediction = False

    def observe(self, token: int) -> None:
        """Take note of a token that was drawn."""
        self._recent = [*self._recent[1 - _MATCHED :], token]
        self._prompt.observe(self._recent)
        if self._prediction:
            self._prediction.observe(self._recent)

    def draft(self, limit: int) -> tuple[list[int], float]:
        """The best guess, and how likely each token of it is right after the one before.

        Args:
            limit: the most tokens that are of use.
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
        """Take note of how many tokens of the last draft were right and how many not."""
        if self._from_prediction:
            self.accepted += accepted
            self.rejected += rejected


def choose_lengths(drafts: Sequence[tuple[int, float]], rows: int, seconds: NDArray[np.float64]) -> list[int]:
    """How many tokens of each draft to verify, so that the step gives the most tokens per second.

    Args:
        drafts: the length of each draft, and how likely each of its tokens is right after the one before.
        rows: how many rows the step has without any drafts, each of which gives one token.
        seconds: what a step with one row takes, with two, and so on; as many as may be in the step.
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
