"""The path of all completions: use the model, build the prompt, check, generate, answer."""

import functools
import hashlib
import secrets
import time
from contextlib import AbstractAsyncContextManager

from ponant.catalog.catalog import Catalog
from ponant.catalog.loading.loaded import LoadedModel
from ponant.completion.completion import Completion
from ponant.completion.deadline import before
from ponant.completion.prompting.factory import PromptFactory
from ponant.completion.spec import CompletionSpec
from ponant.engine.base import Capabilities, GenerateRequest, Sampling
from ponant.errors import InvalidRequestError
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.chat.rendering import too_long

_LONGEST_TOKEN = 32
"""Assumed upper limit of a token's length in a prediction, in characters."""


class CompletionStarter:
    """Starts completions with the models of a catalog."""

    def __init__(self, catalog: Catalog, *, request_timeout: float = 600, always_reuse: bool = False) -> None:
        """Start completions.

        Args:
            catalog: the models.
            request_timeout: most seconds that a request may take from its arrival.
            always_reuse: True if seeded requests, too, may reuse the KV cache of other requests. This is faster, but
                rounding then depends on earlier requests.
        """
        self._catalog = catalog
        self._request_timeout = request_timeout
        self._always_reuse = always_reuse
        self._prompts = PromptFactory()

    async def close(self) -> None:
        """End the work on prompts."""
        await self._prompts.close()

    def in_time(self, arrived: float) -> AbstractAsyncContextManager[None]:
        """Return a context manager that cancels its block at the end of a request's time.

        Args:
            arrived: time of the request's arrival, in seconds of ``time.monotonic``.
        """
        return before(arrived + self._request_timeout)

    async def start(self, spec: CompletionSpec) -> Completion:
        """Start a completion.

        Raises:
            InvalidRequestError: the prompt cannot be built, the engine lacks a feature, or the context has no room for
                the completion.
            UnknownModelError: there is no such model.
            QueueFullError: too many requests wait.
            EngineUnavailableError: the model cannot be loaded, or its engine is not ready.
            DeadlineExceededError: the request's time ended.
        """
        async with self.in_time(spec.arrived), self._catalog.use(spec.model, spec.kind) as model:
            prompt = await self._prompts.build(spec.prompt, model)
            _check_bias(spec, model.vocabulary.size)
            _check_capabilities(prompt, spec, model.engine.capabilities)
            _check_length(prompt, spec, model.engine.limits.context)
            prediction = await self._prediction(prompt, spec, model)
            request = self._generate_request(prompt, prediction, spec, model)
            left = spec.arrived + self._request_timeout - time.monotonic()
            completion = Completion(model, prompt, request, spec, timeout=left)
            completion.start()
            return completion

    async def _prediction(self, prompt: Prompt, spec: CompletionSpec, model: LoadedModel) -> list[int]:
        """Return the tokens of the predicted answer, at most as many as the context holds."""
        if spec.prediction is None:
            return []
        context = model.engine.limits.context
        text = spec.prediction.removeprefix(prompt.prefix)[: _LONGEST_TOKEN * context]
        work = functools.partial(model.vocabulary.tokenize, text, control=False)
        return (await self._prompts.run(model, work))[:context]

    def _generate_request(
        self, prompt: Prompt, prediction: list[int], spec: CompletionSpec, model: LoadedModel
    ) -> GenerateRequest:
        return GenerateRequest(
            prompt=prompt.tokens,
            seeds=_seeds(spec.seed, spec.choices),
            max_tokens=spec.max_tokens,
            min_tokens=model.engine.limits.context if spec.ignore_eos else spec.min_tokens,
            sampling=Sampling(
                temperature=model.spec.default_temperature if spec.temperature is None else spec.temperature,
                top_p=spec.top_p,
                top_k=spec.top_k,
                repetition_penalty=spec.repetition_penalty,
                presence_penalty=spec.presence_penalty,
                frequency_penalty=spec.frequency_penalty,
                logit_bias=dict(spec.logit_bias),
            ),
            repeatable=spec.seed is not None and not self._always_reuse,
            prediction=prediction,
            top_logprobs=spec.top_logprobs,
            prompt_logprobs=spec.prompt_logprobs,
            grammar=prompt.grammar,
            adapter=model.adapter,
        )


def _check_capabilities(prompt: Prompt, spec: CompletionSpec, capabilities: Capabilities) -> None:
    """Raise InvalidRequestError if the request needs a feature that the engine does not have."""
    needed = {
        "grammars": (prompt.grammar is not None, capabilities.grammars),
        "log-probabilities": (spec.top_logprobs is not None, capabilities.logprobs),
        "log-probabilities of prompts": (spec.prompt_logprobs is not None, capabilities.prompt_logprobs),
        "logit_bias": (bool(spec.logit_bias), capabilities.logit_bias),
    }
    for feature, (is_needed, is_there) in needed.items():
        if is_needed and not is_there:
            raise InvalidRequestError(f"The engine of this model does not support {feature}", kind="not_supported")


def _check_bias(spec: CompletionSpec, vocabulary_size: int) -> None:
    """Raise InvalidRequestError if a bias is for a token that the model does not have."""
    if (last := max(spec.logit_bias, default=-1)) >= vocabulary_size:
        raise InvalidRequestError(
            f"logit_bias names token {last}, which the model does not have: its token ids are 0 to "
            f"{vocabulary_size - 1}",
            param="logit_bias",
        )


def _check_length(prompt: Prompt, spec: CompletionSpec, context: int) -> None:
    """Raise InvalidRequestError if the context has no room for the prompt and ``max_tokens``."""
    length = len(prompt.tokens)
    if length + (spec.max_tokens or 0) > context or (spec.max_tokens is None and length >= context):
        size = f"{length} tokens"
        error = too_long(f"{size} and max_tokens is {spec.max_tokens}" if spec.max_tokens else size, context)
        if spec.kind == "fim":
            error.param = "max_tokens" if length < context else "prompt"
        raise error
    if spec.max_tokens is not None and spec.min_tokens > spec.max_tokens:
        raise InvalidRequestError("min_tokens is greater than max_tokens", param="min_tokens")


def _seeds(seed: int | None, count: int) -> list[int]:
    """Return a seed for each choice. They are derived in order: the first choices of any ``n`` have the same seeds."""
    root = secrets.randbits(64) if seed is None else seed
    digests = (hashlib.blake2b(f"{root} {choice}".encode(), digest_size=8).digest() for choice in range(count))
    return [int.from_bytes(digest, "little") for digest in digests]
