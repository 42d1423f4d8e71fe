"""Token counts of completions as the API writes them."""

from collections.abc import Iterable, Sequence

from ponant.api.base import CompletionTokensDetails, PromptTokensDetails, UsageInfo
from ponant.completion.choice import Choice


def completion_usage(prompt: int, cached: int, choices: Sequence[Choice], *, predicted: bool) -> UsageInfo:
    """Return the usage of a completion.

    Args:
        prompt: number of tokens of the prompt.
        cached: number of these that were taken from the cache.
        choices: the choices.
        predicted: True to count the tokens of the prediction.
    """
    usage = _usage(prompt, sum(choice.tokens for choice in choices), cached)
    if predicted:
        usage.completion_tokens_details = CompletionTokensDetails(
            accepted_prediction_tokens=sum(choice.accepted for choice in choices),
            rejected_prediction_tokens=sum(choice.rejected for choice in choices),
        )
    return usage


def total_usage(usages: Iterable[UsageInfo]) -> UsageInfo:
    """Return the sum of the usages of several completions."""
    each = list(usages)
    return _usage(
        sum(usage.prompt_tokens for usage in each),
        sum(usage.completion_tokens for usage in each),
        sum(usage.num_cached_tokens or 0 for usage in each),
    )


def _usage(prompt: int, completion: int, cached: int) -> UsageInfo:
    return UsageInfo(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        num_cached_tokens=cached,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=cached),
    )
