"""A request for completions as data, in the terms that chat, fill-in-the-middle and text requests share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ponant.callers import Caller
from ponant.prompts.request import PromptRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionSpec:
    """A request for completions of one prompt.

    Attributes:
        caller: origin of the request.
        model: name of the model; None for the default one.
        kind: ability that the model needs.
        prompt: the prompt to build for the loaded model.
        arrived: time of the request's arrival, in seconds of ``time.monotonic``.
        choices: number of completions.
        seed: seed from which the seeds of all choices are derived; None for a random one.
        stops: strings that end the text.
        max_tokens: most tokens of a completion; None for as many as the context holds.
        min_tokens: fewest tokens of a completion.
        temperature: None for the model's default; this and the following as for ``Sampling``.
        top_logprobs: number of most likely tokens whose log-probabilities each token has; None for no
            log-probabilities.
        constrained_by: field of the request whose schemas the completions follow; None for none.
        prompt_logprobs: the same for the tokens of the prompt.
        logit_bias: numbers to add to the logits of tokens, by token id.
        ignore_eos: True to generate ``max_tokens`` tokens, or as many as the context holds.
        is_text: True if the completion is a text with its prompt: log-probabilities name the tokens' places in it, and
            those of the prompt precede the others.
        prediction: text that the completion probably consists of; None for none.
    """

    caller: Caller
    model: str | None
    kind: Literal["chat", "fim"]
    prompt: PromptRequest
    arrived: float
    choices: int = 1
    seed: int | None = None
    stops: Sequence[str] = ()
    max_tokens: int | None = None
    min_tokens: int = 0
    temperature: float | None = None
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    top_logprobs: int | None = None
    constrained_by: str | None = None
    prompt_logprobs: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    ignore_eos: bool = False
    is_text: bool = False
    prediction: str | None = None


def stop_strings(stop: str | list[str] | None) -> list[str]:
    """Return the stop strings of a request as a list."""
    return [stop] if isinstance(stop, str) else stop or []


def logit_bias(bias: Mapping[str, float] | None) -> dict[int, float]:
    """Return the biases of a request by token id."""
    return {int(token): added for token, added in (bias or {}).items()}
