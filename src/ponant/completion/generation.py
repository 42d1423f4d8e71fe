"""What all requests for completions have in common on their way to the engine."""

import hashlib
import secrets
from typing import Protocol

from ponant.catalog.loading.loaded import LoadedModel
from ponant.engine.base import GenerateRequest, Sampling
from ponant.errors import InvalidRequestError
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.chat.rendering import too_long


class CompletionRequest(Protocol):
    """The fields that every request for completions has."""

    @property
    def temperature(self) -> float | None:
        """How much chance there is."""
        ...

    @property
    def top_p(self) -> float | None:
        """The share of the likeliest tokens that are drawn from."""
        ...

    @property
    def max_tokens(self) -> int | None:
        """The most tokens."""
        ...

    @property
    def min_tokens(self) -> int | None:
        """The fewest tokens."""
        ...

    @property
    def stop(self) -> str | list[str] | None:
        """Strings that end the text."""
        ...

    @property
    def random_seed(self) -> int | None:
        """Where chance begins."""
        ...


def check_length(prompt: Prompt, request: CompletionRequest, context: int) -> None:
    """Raise InvalidRequestError if the context has no room for the prompt and ``max_tokens``."""
    length = len(prompt.tokens)
    if length + (request.max_tokens or 0) > context or (request.max_tokens is None and length >= context):
        size = f"{length} tokens"
        raise too_long(f"{size} and max_tokens is {request.max_tokens}" if request.max_tokens else size, context)
    if request.max_tokens is not None and (request.min_tokens or 0) > request.max_tokens:
        raise InvalidRequestError("min_tokens is greater than max_tokens", param="min_tokens")


def generate_request(
    request: CompletionRequest, model: LoadedModel, prompt: Prompt, *, choices: int = 1, always_reuse: bool
) -> GenerateRequest:
    """What the engine gets.

    Args:
        request: what is asked for.
        model: completes it.
        prompt: what is completed.
        choices: how many completions there are to be.
        always_reuse: whether a seeded request need not repeat itself.
    """
    return GenerateRequest(
        prompt=prompt.tokens,
        seeds=_seeds(request.random_seed, choices),
        max_tokens=request.max_tokens,
        min_tokens=request.min_tokens or 0,
        sampling=Sampling(
            temperature=model.spec.default_temperature if request.temperature is None else request.temperature,
            top_p=1.0 if request.top_p is None else request.top_p,
        ),
        repeatable=request.random_seed is not None and not always_reuse,
        grammar=prompt.grammar,
        adapter=model.adapter,
    )


def stop_strings(request: CompletionRequest) -> list[str]:
    """The strings that end the text."""
    return [request.stop] if isinstance(request.stop, str) else request.stop or []


def _seeds(seed: int | None, count: int) -> list[int]:
    """A seed for each choice, all derived from the one given: the first choices of any ``n`` are the same."""
    root = secrets.randbits(64) if seed is None else seed
    digests = (hashlib.blake2b(f"{root} {choice}".encode(), digest_size=8).digest() for choice in range(count))
    return [int.from_bytes(digest, "little") for digest in digests]
