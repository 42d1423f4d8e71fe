"""Text completion requests: several prompts in one request, each continued or filled in."""

from typing import Annotated

from pydantic import Field

from ponant.api.base import RequestModel
from ponant.api.chat import MAX_CHOICES, LogitBias, Stop
from ponant.api.limits import AtMost
from ponant.api.numbers import Count, Penalty, Seed, Share, Temperature, Whole
from ponant.callers import Caller
from ponant.completion.completion import Completion
from ponant.completion.generation import CompletionStarter
from ponant.completion.joined import JoinedCompletions
from ponant.completion.spec import CompletionSpec, logit_bias, stop_strings
from ponant.errors import InvalidRequestError
from ponant.prompts.request import FimPromptRequest, PromptRequest, RawPromptRequest

MOST_PROMPTS = 128
"""Most texts of one request."""


RawPrompt = str | list[Annotated[int, Field(ge=0)]]
"""A text, or token ids."""


class TextRequest(RequestModel):
    """Body of a text completion request: ``n`` completions of each prompt, or of the text between it and the suffix.

    Without prompts, a text is written from its beginning. ``top_logprobs`` and ``echo`` together ask for the
    log-probabilities of the prompts, too.
    """

    model: str | None = None
    prompts: Annotated[list[RawPrompt], Field(min_length=1, max_length=MOST_PROMPTS), AtMost("items")] | None = None
    suffix: str | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    max_tokens: Count | None = None
    stop: Stop = None
    stream: bool | None = None
    random_seed: Seed | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), Whole] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), Whole] | None = None
    echo: bool | None = None
    logit_bias: LogitBias | None = None
    ignore_eos: bool | None = None


class TextService:
    """Answers text completion requests."""

    def __init__(self, completions: CompletionStarter) -> None:
        self._completions = completions

    async def start(self, request: TextRequest, caller: Caller, *, arrived: float) -> JoinedCompletions:
        """Start to answer a request that arrived at a time of ``time.monotonic``.

        Raises as ``CompletionStarter.start``.
        """
        _check(request)
        started: list[Completion] = []
        try:
            for prompt in request.prompts or [""]:
                spec = _spec(request, prompt, caller, arrived=arrived)
                started.append(await self._completions.start(spec))
        except BaseException:
            for completion in started:
                completion.cancel()
            raise
        return JoinedCompletions(started, choices=request.n or 1)


def _check(request: TextRequest) -> None:
    if not request.suffix:
        return
    if any(not isinstance(prompt, str) for prompt in request.prompts or []):
        raise InvalidRequestError("A suffix needs a prompt that is a text, not token ids", param="suffix")
    if request.echo and request.top_logprobs is not None:
        raise InvalidRequestError(
            "With a suffix, echo and logprobs exclude each other: the tokens are not those of one text", param="echo"
        )


def _prompt(prompt: RawPrompt, request: TextRequest) -> PromptRequest:
    if not isinstance(prompt, str) or not request.suffix:
        return RawPromptRequest(prompt, echo=bool(request.echo))
    return FimPromptRequest(prompt, request.suffix, echo=bool(request.echo))


def _spec(request: TextRequest, prompt: RawPrompt, caller: Caller, *, arrived: float) -> CompletionSpec:
    return CompletionSpec(
        caller=caller,
        model=request.model,
        kind="fim",
        prompt=_prompt(prompt, request),
        arrived=arrived,
        choices=request.n or 1,
        seed=request.random_seed,
        stops=stop_strings(request.stop),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        presence_penalty=request.presence_penalty or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        top_logprobs=request.top_logprobs,
        prompt_logprobs=request.top_logprobs if request.echo else None,
        logit_bias=logit_bias(request.logit_bias),
        ignore_eos=bool(request.ignore_eos),
        is_text=True,
    )
