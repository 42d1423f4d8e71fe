"""Text completion requests: several prompts in one request, each continued or filled in."""

from typing import Annotated

from pydantic import Field

from ponant.api.base import RequestModel
from ponant.api.chat import MAX_CHOICES, StopString
from ponant.api.numbers import Count, Penalty, Seed, Share, Temperature
from ponant.callers import Caller
from ponant.completion.completion import Completion
from ponant.completion.generation import CompletionStarter
from ponant.completion.joined import JoinedCompletions
from ponant.completion.spec import CompletionSpec, stop_strings

MOST_PROMPTS = 128
"""Most texts of one request."""


class TextRequest(RequestModel):
    """Body of a text completion request: ``n`` completions of each prompt, or of the text between it and the suffix."""

    model: str | None = None
    prompts: Annotated[list[str], Field(min_length=1, max_length=MOST_PROMPTS)]
    suffix: str | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    max_tokens: Count | None = None
    stop: StopString | list[StopString] | None = None
    stream: bool | None = None
    random_seed: Seed | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class TextService:
    """Answers text completion requests."""

    def __init__(self, completions: CompletionStarter) -> None:
        self._completions = completions

    async def start(self, request: TextRequest, caller: Caller) -> JoinedCompletions:
        """Start to answer a request. Raises as ``CompletionStarter.start``."""
        started: list[Completion] = []
        try:
            for prompt in request.prompts:
                started.append(await self._completions.start(_spec(request, prompt, caller)))  # noqa: PERF401 - see except
        except BaseException:
            for completion in started:
                completion.cancel()
            raise
        return JoinedCompletions(started, choices=request.n or 1)


def _spec(request: TextRequest, prompt: str, caller: Caller) -> CompletionSpec:
    return CompletionSpec(
        caller=caller,
        model=request.model,
        kind="fim",
        build=lambda model: model.fim.build(prompt, request.suffix),
        choices=request.n or 1,
        seed=request.random_seed,
        stops=stop_strings(request.stop),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        presence_penalty=request.presence_penalty or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        top_logprobs=request.top_logprobs,
    )
