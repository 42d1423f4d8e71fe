"""The engine protocol: token ids in, deltas of token ids out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol, Self

import msgspec

from ponant.engine.report import StepReport

FinishReason = Literal["stop", "length", "model_length", "error", "grammar"]
"""End of a completion: end-of-generation token, ``max_tokens`` reached, context full, or a failure.

``grammar`` is a failure of the request's grammar: it cannot be compiled, or is too complex to follow.
"""

BackendState = Literal["starting", "ready", "restarting", "stopped"]


class Sampling(msgspec.Struct, frozen=True):
    """Sampling parameters. The defaults leave the model's distribution unchanged.

    Biases and penalties are applied first, then temperature, then ``top_k``, then ``top_p``. Penalties apply to the
    tokens generated so far, not to the prompt. Temperature 0 takes the most likely token.

    Attributes:
        logit_bias: numbers to add to the logits of tokens, by token id.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = {}

    @property
    def penalizes(self) -> bool:
        """True if a penalty changes the probabilities of tokens that were generated before."""
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0


class GenerateRequest(msgspec.Struct, frozen=True):
    """Completions of one prompt, one per seed.

    Attributes:
        prompt: token ids.
        seeds: one seed per choice.
        max_tokens: most tokens of a completion; None for the rest of the context. 0 computes only the prompt.
        min_tokens: fewest tokens before an end-of-generation token may be drawn.
        sampling: sampling parameters.
        repeatable: hint: an idle engine should draw the same tokens again, independent of what it computed in between.
        prediction: hint: likely tokens of the completion. They change the speed, never the tokens.
        top_logprobs: number of most likely tokens whose log-probabilities each delta has; None for no
            log-probabilities.
        prompt_logprobs: the same for the tokens of the prompt. All of the prompt is computed, even if it is cached.
        grammar: grammar of the completion, in llguidance's JSON form or its dialect of Lark. A token that the grammar
            determines is appended without being drawn, even an end before ``min_tokens``.
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
    prompt_logprobs: int | None = None
    grammar: str | None = None
    adapter: str | None = None


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """Log-probability of a token in the model's own distribution: before temperature, penalties and truncation.

    Attributes:
        logprob: log-probability of the token.
        top: most likely tokens with their log-probabilities, in descending order.
    """

    logprob: float
    top: list[tuple[int, float]]


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """New tokens of one choice, without end-of-generation tokens; none if it only has log-probabilities of the prompt.

    Attributes:
        choice: index of the choice.
        tokens: token ids.
        finish: reason of the end, in the last delta of a choice.
        cached_tokens: number of the prompt's tokens that were reused from the cache.
        accepted: number of the prediction's tokens that were accepted so far.
        rejected: number of the prediction's tokens that were rejected so far.
        logprobs: one entry per token, and one for ``end``, if requested.
        prompt_logprobs: entries of the next tokens of the prompt, if requested. Choice 0 has them, all before its first
            token or its end. They begin with the prompt's second token, as the first one has none.
        end: end-of-generation token that was drawn after the tokens; None if the engine does not report it.
    """

    choice: int
    tokens: list[int]
    finish: FinishReason | None = None
    cached_tokens: int = 0
    accepted: int = 0
    rejected: int = 0
    logprobs: list[TokenLogprobs] | None = None
    prompt_logprobs: list[TokenLogprobs] | None = None
    end: int | None = None


class Limits(msgspec.Struct, frozen=True):
    """Limits of an engine.

    Attributes:
        context: longest sequence in tokens, prompt and completion together.
        parallel: number of sequences that run at once.
        kv_cells: tokens that the KV cache holds; None if the engine does not report it.
    """

    context: int
    parallel: int
    kv_cells: int | None = None


class Capabilities(msgspec.Struct, frozen=True):
    """Optional features of an engine.

    Requests that need a missing feature are refused. ``prediction`` is a hint, so it is ignored.

    Attributes:
        grammars: follows ``GenerateRequest.grammar``.
        logprobs: returns log-probabilities of generated tokens.
        prompt_logprobs: returns those of the prompt's tokens, and computes a prompt without a completion.
        logit_bias: follows ``Sampling.logit_bias``.
        adapters: is an ``AdapterHost``.
        prediction: uses ``GenerateRequest.prediction``.
    """

    grammars: bool = True
    logprobs: bool = True
    prompt_logprobs: bool = True
    logit_bias: bool = True
    adapters: bool = True
    prediction: bool = True


class Generation(Protocol):
    """A running request: an asynchronous iterator over the deltas of all choices, in the order of computation."""

    def __aiter__(self) -> Self:
        """Return the generation itself."""
        ...

    async def __anext__(self) -> Delta:
        """Return the next delta.

        Raises:
            StopAsyncIteration: all choices have ended, or were stopped or cancelled.
            EngineRestartedError: all deltas so far are void; further calls return those of the request's new run.
            EngineError: any other subclass; an engine may refuse a request as late as here, or fail during it.
                QueueFullError and EngineUnavailableError become HTTP statuses of their own, others a 500.
        """
        ...

    def follow(self, take: Callable[[Delta], bool]) -> None:
        """Hint: call ``take`` with each delta when it arrives, if there is none that was not returned yet.

        Deltas for which it returns True are not returned by the iteration. The others are, next. An engine that ignores
        the hint returns all deltas by the iteration.
        """
        ...

    def stop(self, choice: int) -> None:
        """End one choice. No more of its deltas follow; the iteration ends with the last open choice."""
        ...

    def cancel(self) -> None:
        """End all choices and the iteration. It may be called at any time and more than once."""
        ...


class Backend(Protocol):
    """A loaded model: an engine or an embedder."""

    @property
    def state(self) -> BackendState:
        """State of the backend; it accepts requests when ``ready``."""
        ...

    @property
    def last_error(self) -> str | None:
        """Reason why the backend is not ready, if there is one."""
        ...

    @property
    def busy(self) -> bool:
        """True if requests are running or waiting."""
        ...

    @property
    def waiting(self) -> int:
        """Number of requests in the queue."""
        ...

    @property
    def memory(self) -> int:
        """Memory of this machine that the model takes, in bytes. Raises EngineUnavailableError before the start."""
        ...

    @property
    def device(self) -> str:
        """Hardware that computes, such as ``CPU, 8 threads``. Raises EngineUnavailableError before the start."""
        ...

    def describe(self, name: str) -> str:
        """Return a one-line summary of the loaded model: its sizes, limits and threads.

        Raises EngineUnavailableError before the start.
        """
        ...

    async def start(self) -> None:
        """Load the model. Raises ModelLoadError."""
        ...

    async def stop(self) -> None:
        """End all requests and free all resources."""
        ...


class Engine(Backend, Protocol):
    """A loaded model that completes prompts."""

    @property
    def limits(self) -> Limits:
        """Limits of the engine. Raises EngineUnavailableError before the start."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Optional features of the engine."""
        ...

    @property
    def report(self) -> StepReport:
        """Latest figures of the engine, at most a second old while it computes; zeros for those that it lacks."""
        ...

    def generate(self, request: GenerateRequest) -> Generation:
        """Start a request.

        Raises:
            QueueFullError: too many requests are waiting.
            EngineUnavailableError: the engine is not ready, or the request's adapter is not loaded.
        """
        ...


class AdapterHost(Protocol):
    """An engine that serves LoRA adapters of its model."""

    @property
    def adapters(self) -> Mapping[str, int]:
        """Number of running requests by the id of each loaded adapter."""
        ...

    @property
    def most_adapters(self) -> int:
        """Largest number of adapters that can be loaded at once."""
        ...

    async def add_adapter(self, adapter_id: str, path: Path) -> None:
        """Load a LoRA adapter. A restarted engine loads it again.

        Args:
            adapter_id: id of the adapter in requests.
            path: file in the engine's format, such as GGUF for llama.cpp.

        Raises:
            AdapterError: the file does not fit the model, too many adapters are loaded, or the id is taken.
            EngineUnavailableError: the engine is not ready.
        """
        ...

    async def remove_adapter(self, adapter_id: str) -> None:
        """Refuse new requests for an adapter, wait for the running ones, and unload it.

        An unknown id is ignored.
        """
        ...
