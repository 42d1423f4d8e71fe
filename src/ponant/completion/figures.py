"""Figures of an answer in progress."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    """Numbers of tokens of an answer so far, and the time of its first one.

    Attributes:
        model: id of the model that computes the answer.
        prompt_tokens: number of tokens of the prompt.
        cached_tokens: number of these that were taken from the cache.
        completion_tokens: number of generated tokens of all choices.
        first_token: time of the first generated token, in seconds of ``time.monotonic``; None before it.
    """

    model: str
    prompt_tokens: int
    cached_tokens: int = 0
    completion_tokens: int = 0
    first_token: float | None = None


def total_figures(figures: Sequence[AnswerFigures]) -> AnswerFigures:
    """Return the sums of several answers of one model, and the time of their first token."""
    times = [each.first_token for each in figures if each.first_token is not None]
    return AnswerFigures(
        figures[0].model,
        sum(each.prompt_tokens for each in figures),
        sum(each.cached_tokens for each in figures),
        sum(each.completion_tokens for each in figures),
        min(times, default=None),
    )
