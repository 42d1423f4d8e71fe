"""Several texts continued, or filled in, at once: the completions of all as one."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Annotated

from pydantic import Field

from ponant.api.base import PromptTokensDetails, RequestModel, UsageInfo
from ponant.api.chat import MAX_CHOICES, ChatCompletionResponse, CompletionChunk, StopString
from ponant.api.fim import FIMCompletionRequest
from ponant.completion.completion import Completion
from ponant.completion.fim import FimService

MOST_PROMPTS = 128
"""The most texts of one request."""


class TextRequest(RequestModel):
    """What is asked for: ``n`` completions of each prompt; with a suffix, of what comes between both."""

    model: str | None = None
    prompts: Annotated[list[str], Field(min_length=1, max_length=MOST_PROMPTS)]
    suffix: str | None = None
    temperature: Annotated[float, Field(ge=0, le=1.5)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    stop: StopString | list[StopString] | None = None
    stream: bool | None = None
    random_seed: Annotated[int, Field(ge=0)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


class TextService:
    """Continues texts as fill-in-the-middle does."""

    def __init__(self, fim: FimService) -> None:
        self._fim = fim

    async def start(self, request: TextRequest) -> "JoinedCompletions":
        """Begin to answer a request; raises what ``ChatService.start`` raises."""
        choices = request.n or 1
        started: list[Completion] = []
        try:
            for prompt in request.prompts:
                asked = FIMCompletionRequest(
                    model=request.model,
                    prompt=prompt,
                    suffix=request.suffix,
                    temperature=request.temperature,
                    top_p=request.top_p,
                    max_tokens=request.max_tokens,
                    stop=request.stop,
                    random_seed=request.random_seed,
                )
                completion = await self._fim.start(
                    asked,
                    choices=choices,
                    top_logprobs=request.top_logprobs,
                    presence_penalty=request.presence_penalty or 0.0,
                    frequency_penalty=request.frequency_penalty or 0.0,
                )
                started.append(completion)
        except BaseException:
            for completion in started:
                completion.cancel()
            raise
        return JoinedCompletions(started, choices=choices)


class JoinedCompletions:
    """Completions with ``choices`` each that look like one: the choices of the second come after the first's."""

    def __init__(self, completions: Sequence[Completion], *, choices: int) -> None:
        self._completions = completions
        self._choices = choices

    async def chunks(self) -> AsyncIterator[CompletionChunk]:
        """What all add, as it comes, with the usage in the last one; raises what ``Completion.chunks`` raises."""
        queue = asyncio.Queue[CompletionChunk | Exception | None]()
        followers = [
            asyncio.create_task(self._follow(number, completion, queue))
            for number, completion in enumerate(self._completions)
        ]
        usages: list[UsageInfo] = []
        try:
            running = len(followers)
            while running:
                event = await queue.get()
                if isinstance(event, Exception):
                    raise event
                if event is None:
                    running -= 1
                    continue
                if event.usage:
                    usages.append(event.usage)
                is_last = len(usages) == len(followers)
                yield self._chunk(event, _sum(usages) if is_last else None)
        finally:
            self.cancel()
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)

    async def collect(self) -> ChatCompletionResponse:
        """The whole answer; raises what ``chunks`` raises."""
        try:
            responses = await asyncio.gather(*(completion.collect() for completion in self._completions))
        finally:
            self.cancel()
        joined = responses[0]
        for number, response in enumerate(responses):
            for choice in response.choices:
                choice.index += number * self._choices
        joined.choices = [choice for response in responses for choice in response.choices]
        joined.usage = _sum(response.usage for response in responses)
        return joined

    def cancel(self) -> None:
        """Stop generating."""
        for completion in self._completions:
            completion.cancel()

    async def _follow(
        self, number: int, completion: Completion, queue: asyncio.Queue[CompletionChunk | Exception | None]
    ) -> None:
        try:
            async for chunk in completion.chunks():
                for choice in chunk.choices:
                    choice.index += number * self._choices
                queue.put_nowait(chunk)
            queue.put_nowait(None)
        except Exception as error:
            queue.put_nowait(error)

    def _chunk(self, chunk: CompletionChunk, usage: UsageInfo | None) -> CompletionChunk:
        first = self._completions[0]
        same = CompletionChunk(
            id=first.id, object=chunk.object, created=first.created, model=first.model, choices=chunk.choices
        )
        if usage:
            same.usage = usage
        return same


def _sum(usages: Iterable[UsageInfo]) -> UsageInfo:
    every = list(usages)
    cached = sum(usage.num_cached_tokens or 0 for usage in every)
    return UsageInfo(
        prompt_tokens=sum(usage.prompt_tokens for usage in every),
        completion_tokens=sum(usage.completion_tokens for usage in every),
        total_tokens=sum(usage.total_tokens for usage in every),
        num_cached_tokens=cached,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=cached),
    )
