"""Forms of answers, by the fields of the request."""

from ponant.samples.call import ApiCall

_OTHERS = ("tools", "prompt_mode", "reasoning_effort", "logprobs")
"""Fields with which an answer is more than a text."""


def several(call: ApiCall) -> bool:
    """True if an answer has several choices."""
    count = (call.body or {}).get("n")
    return isinstance(count, int) and count > 1


def is_plain(call: ApiCall) -> bool:
    """True if an answer is one text."""
    body = call.body or {}
    return not several(call) and not any(body.get(name) for name in _OTHERS)
