"""What every engine offers, whatever computes behind it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, Self

import msgspec

FinishReason = Literal["stop", "length", "model_length", "error"]
"""Why a completion ended: the model's own end, ``max_tokens`` reached, context full, or a failure."""

EngineState = Literal["starting", "ready", "restarting", "stopped"]


class Sampling(msgspec.Struct, frozen=True):
    """How the next token is drawn. The defaults change nothing about the model's own distribution.

    Penalties concern the tokens generated so far, not the prompt. Temperature comes first, then ``top_k``, then
    ``top_p``. Temperature 0 takes the most likely token.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    @property
    def penalizes(self) -> bool:
        """Whether tokens that were generated before become less likely, or more."""
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0


class GenerateRequest(msgspec.Struct, frozen=True):
    """Completions of one prompt, as many as there are seeds.

    ``max_tokens`` of ``None`` means: until the model ends or the context is full. The model's end-of-generation tokens
    cannot be drawn before ``min_tokens`` have been. ``repeatable`` makes an idle engine give the same tokens again
    whatever it computed in between. ``prediction`` is a guess of the tokens to come: it makes a completion faster where
    it is right, and never changes what is drawn. With ``top_logprobs`` each token comes with its log-probability and
    those of so many of the most likely ones. A ``grammar``, in llguidance's JSON form or its dialect of Lark, says what
    may be generated. Where it leaves no choice nothing is drawn, not even the end before ``min_tokens``. ``adapter`` is
    the id of the adapter that changes the weights, None for the model as it is.
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
    """A token's log-probability as the model gives it, before temperature, penalties and truncation.

    ``top`` has the most likely tokens with theirs, the likeliest first.
    """

    logprob: float
    top: list[tuple[int, float]]


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """New tokens of one completion. End-of-generation tokens are not among them.

    ``reused`` says how many tokens of the prompt had been computed before. Of the tokens taken from the prediction to
    get here, ``accepted`` were right and ``rejected`` were not. ``logprobs``, if asked for, has one entry per token.
    """

    choice: int
    tokens: list[int]
    finish: FinishReason | None = None
    reused: int = 0
    accepted: int = 0
    rejected: int = 0
    logprobs: list[TokenLogprobs] | None = None


class EngineInfo(msgspec.Struct, frozen=True):
    """What a running engine has: sizes in tokens (``context``, ``kv_cells``) and bytes."""

    context: int
    kv_cells: int
    kv_memory: int
    prefix_memory: int
    weights_memory: int
    parallel: int
    threads: int


class Generation(Protocol):
    """A running request: iterate over it for the deltas of all its choices, in the order they are computed.

    The iteration raises EngineUnavailableError if the engine dies.
    """

    def __aiter__(self) -> Self:
        """The generation itself."""
        ...

    async def __anext__(self) -> Delta:
        """The next delta, as soon as there is one."""
        ...

    def stop(self, choice: int) -> None:
        """End one choice: no more deltas of it follow."""
        ...

    def cancel(self) -> None:
        """End all choices. Safe to call at any time, more than once."""
        ...


class Backend(Protocol):
    """What computes for a loaded model, whatever it is that it computes."""

    @property
    def state(self) -> EngineState:
        """Whether it can take requests."""
        ...

    @property
    def last_error(self) -> str | None:
        """Why it is not ready, where that is known."""
        ...

    @property
    def busy(self) -> bool:
        """Whether it has requests to work on."""
        ...

    @property
    def memory(self) -> int:
        """Bytes that it takes. Raises EngineUnavailableError before it was started."""
        ...

    async def stop(self) -> None:
        """End all requests and free everything."""
        ...


class Engine(Backend, Protocol):
    """One loaded model that completes prompts."""

    @property
    def info(self) -> EngineInfo:
        """What the engine has. Raises EngineUnavailableError before it was started."""
        ...

    def generate(self, request: GenerateRequest) -> Generation:
        """Start a request.

        Raises:
            QueueFullError: too many requests wait already.
            EngineUnavailableError: the engine is not ready, or does not have the request's adapter.
        """
        ...

    async def start(self) -> EngineInfo:
        """Load the model. Raises ModelLoadError."""
        ...

    @property
    def adapters(self) -> Mapping[str, int]:
        """The adapters that requests can name, and how many requests are working with each."""
        ...

    @property
    def most_adapters(self) -> int:
        """How many adapters can be loaded at once."""
        ...

    async def add_adapter(self, adapter_id: str, path: Path) -> None:
        """Load a LoRA adapter in llama.cpp's GGUF format beside what runs; after a restart it is loaded again.

        Raises:
            AdapterError: it cannot be used with this model, there are too many, or there is one of this id.
            EngineUnavailableError: the engine is not ready.
        """
        ...

    async def remove_adapter(self, adapter_id: str) -> None:
        """Take no more requests for an adapter, wait until those that it has are done, and unload it.

        An adapter that is not there is ignored.
        """
        ...
