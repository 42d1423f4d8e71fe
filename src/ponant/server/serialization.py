"""Serialisation of answers: large ones in a thread."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from ponant.api.chat import ChatCompletionChoice, CompletionResponseStreamChoice

T = TypeVar("T")

MOST_TOKENS = 500
"""Most tokens with log-probabilities that are serialised on the event loop. Each may have those of 20 others."""


async def serialised(
    choices: Sequence[ChatCompletionChoice | CompletionResponseStreamChoice], work: Callable[[], T]
) -> T:
    """Return the result of ``work``, which serialises choices. It is called in a thread if they are large."""
    logprobs = (known for choice in choices for known in (choice.logprobs, choice.prompt_logprobs) if known)
    if sum(len(known.content) for known in logprobs) > MOST_TOKENS:
        return await asyncio.to_thread(work)
    return work()
