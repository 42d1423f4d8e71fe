"""The engine protocol: token ids in, deltas of token ids out, whatever computes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, Self

import msgspec

FinishReason = Literal["stop", "length", "model_length", "error"]
"""End of a completion: the model's own end, ``max_tokens`` reached, context full, or a failure."""

BackendState = Literal["starting", "ready", "restarting", "stopped"]


class Sampling(msgspec.Struct, frozen=True):
    """Parameters of sampling. The defaults leave the model's distribution as it is.

    Penalties apply to the tokens generated so far, not to the prompt. Temperature is applied first, then ``top_k``,
    then ``top_p``. Temperature 0 takes the most likely token.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    @property
    def penalizes(self) -> bool:
        """True if tokens generated before become less or more likely."""
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0


class GenerateRequest(msgspec.Struct, frozen=True):
    """Completions of one prompt, one per seed.

    Attributes:
        prompt: token ids.
        seeds: one seed per choice.
        max_tokens: most tokens of a completion; None for as many as the context holds.
        min_tokens: end-of-generation tokens are not drawn before this many tokens.
        sampling: parameters of sampling.
        repeatable: hint: an idle engine should draw the same tokens again, whatever it computed in between.
        prediction: hint: tokens that the completion probably consists of. It changes the speed, never the tokens.
        top_logprobs: number of most likely tokens whose log-probabilities each delta has; None for no
            log-probabilities.
        grammar: allowed texts, in llguidance's JSON form or its dialect of Lark. A token that the grammar determines is
            not drawn, not even the end before ``min_tokens``.
        adapter: id of a LoRA adapter; None for the base model.
    """

    prompt: list[int]
    seeds: list[int]
    max_tokens: int | None = None
    min_tokens: int = 0
    sampling: Sampling = Sampling()
    repeatable: bool = False
    prediction: list[int] = []
    top_logprobs: int | None = None
    grammar: str | None = None
    adapter: str | None = None


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """Log-probability of a token, as the model gives it: before temperature, penalties and truncation.

    ``top`` has the most likely tokens with theirs, in descending order.
    """

    logprob: float
    top: list[tuple[int, float]]


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """New tokens of one choice, without end-of-generation tokens.

    Attributes:
        choice: index of the choice.
        tokens: token ids.
        finish: reason of the end, in the last delta of a choice.
        cached_tokens: number of the prompt's tokens that were taken from the cache.
        accepted: number of right tokens of the prediction so far.
        rejected: number of wrong tokens of the prediction so far.
        logprobs: one entry per token, if they were asked for.
    """

    choice: int
    tokens: list[int]
    finish: FinishReason | None = None
    cached_tokens: int = 0
    accepted: int = 0
    rejected: int = 0
    logprobs: list[TokenLogprobs] | None = None


class Limits(msgspec.Struct, frozen=True):
    """Limits of an engine.

    Attributes:
        context: longest sequence in tokens, prompt and completion together.
        parallel: sequences that run at once.
    """

    context: int
    parallel: int


class Capabilities(msgspec.Struct, frozen=True):
    """Optional features of an engine.

    Attributes:
        grammars: it follows ``GenerateRequest.grammar``.
        logprobs: it returns log-probabilities.
        adapters: it is an ``AdapterHost``.
        prediction: it uses ``GenerateRequest.prediction``.
    """

    grammars: bool = True
    logprobs: bool = True
    adapters: bool = True
    prediction: bool = True


class Generation(Protocol):
    """A running request: an iterator over the deltas of all its choices, in the order in which they are computed."""

    def __aiter__(self) -> Self:
        """Return the generation itself."""
        ...

    async def __anext__(self) -> Delta:
        """Return the next delta.

        Raises:
            EngineError: any of them; an engine may refuse a request as late as here, or fail under it.
        """
        ...

    def stop(self, choice: int) -> None:
        """End one choice. No more deltas of it follow."""
        ...

    def cancel(self) -> None:
        """End all choices. May be called at any time and more than once."""
        ...


class Backend(Protocol):
    """A loaded model that computes, whatever it computes."""

    @property
    def state(self) -> BackendState:
        """State of the backend; it takes requests when ``ready``."""
        ...

    @property
    def last_error(self) -> str | None:
        """Reason why it is not ready, if there is one."""
        ...

    @property
    def busy(self) -> bool:
        """True if it has requests that run or wait."""
        ...

    @property
    def memory(self) -> int:
        """Memory of this machine that it takes, in bytes. Raises EngineUnavailableError before the start."""
        ...

    def describe(self, name: str) -> str:
        """Return one line for people about the loaded model: its sizes, limits and threads.

        Raises EngineUnavailableError before the start.
        """
        ...

    async def start(self) -> None:
        """Load the model. Raises ModelLoadError."""
        ...

    async def stop(self) -> None:
        """End all requests and free everything."""
        ...


class Engine(Backend, Protocol):
    """A loaded model that completes prompts."""

    @property
    def limits(self) -> Limits:
        """Limits of the engine. Raises EngineUnavailableError before the start."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Optional features that it has."""
        ...

    def generate(self, request: GenerateRequest) -> Generation:
        """Start a request.

        Raises:
            QueueFullError: too many requests wait.
            EngineUnavailableError: the engine is not ready, or does not have the request's adapter.
        """
        ...


class AdapterHost(Protocol):
    """An engine that serves LoRA adapters beside its base model."""

    @property
    def adapters(self) -> Mapping[str, int]:
        """Number of running requests by the id of each adapter that requests can name."""
        ...

    @property
    def most_adapters(self) -> int:
        """Number of adapters that can be loaded at once."""
        ...

    async def add_adapter(self, adapter_id: str, path: Path) -> None:
        """Load a LoRA adapter in llama.cpp's GGUF format. It is loaded again after a restart of the engine.

        Raises:
            AdapterError: it does not fit the model, there are too many, or the id is taken.
            EngineUnavailableError: the engine is not ready.
        """
        ...

    async def remove_adapter(self, adapter_id: str) -> None:
        """Refuse new requests for an adapter, wait for the end of running ones, and unload it.

        An adapter that is not loaded is ignored.
        """
        ...
