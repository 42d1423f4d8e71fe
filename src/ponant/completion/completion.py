"""One request being answered: its chunks, and the response that they add up to."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from ponant.api.base import CompletionTokensDetails, PromptTokensDetails, UsageInfo
from ponant.api.chat import (
    ChatCompletionChoice,
    ChatCompletionResponse,
    ChoiceLogprobs,
    CompletionChunk,
    CompletionResponseStreamChoice,
    DeltaMessage,
    FinishReason,
    TokenLogprob,
)
from ponant.catalog.loading.loaded import LoadedModel
from ponant.completion.logprobs import choice_logprobs
from ponant.completion.message import call_ids, delta_message, whole_message
from ponant.completion.output import AnswerOutput, WholeCalls
from ponant.completion.parts import CallBegun, Part
from ponant.engine.base import Delta, GenerateRequest, Generation
from ponant.errors import EngineError
from ponant.prompts.chat.prompt import Prompt


class RequestTimeoutError(Exception):
    """The request took longer than the settings allow."""


class CompletionFailedError(EngineError):
    """The model could not complete the prompt."""


@dataclass(slots=True)
class _Choice:
    """A completion as far as it has come; ``logprobs`` are those not yet sent, None if none were asked for."""

    output: AnswerOutput
    call_id: Callable[[int], str]
    logprobs: list[TokenLogprob] | None
    whole_calls: WholeCalls | None
    finish: FinishReason | None = None
    has_calls: bool = False
    accepted: int = 0
    rejected: int = 0


class Completion:
    """A request being answered: iterate over ``chunks`` once, or ``collect`` them. ``cancel`` ends it at any time."""

    def __init__(
        self,
        model: LoadedModel,
        prompt: Prompt,
        generate: GenerateRequest,
        *,
        name: str | None,
        stops: Sequence[str],
        predicted: bool,
        timeout: float,
        whole_calls: bool = False,
    ) -> None:
        """Hand the prompt to the model's engine; raises what ``Engine.generate`` raises.

        Args:
            model: completes it.
            prompt: what is completed.
            generate: what the engine gets.
            name: how the request calls the model, if it does.
            stops: strings that end the text.
            predicted: whether the usage tells how a prediction fared.
            timeout: seconds that the request may take.
            whole_calls: whether a stream has each call in one piece.
        """
        self.id = f"cmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.model = name or model.id
        self._prompt = prompt
        self._vocabulary = model.vocabulary
        self._predicted = predicted
        self._choices = [
            _Choice(
                AnswerOutput(
                    model.vocabulary.piece, stops, min_tokens=generate.min_tokens, reading=prompt.output_format
                ),
                call_ids(seed, len(prompt.tokens)),
                None if generate.top_logprobs is None else [],
                WholeCalls() if whole_calls else None,
            )
            for seed in generate.seeds
        ]
        self._in_chunks = prompt.output_format.thinking is not None
        self._cached_tokens = 0
        self._timed_out = False
        self._generation: Generation | None = None
        self._deadline: asyncio.TimerHandle | None = None
        if generate.max_tokens == 0:
            return
        self._generation = model.engine.generate(generate)
        self._deadline = asyncio.get_running_loop().call_later(timeout, self._time_out)

    async def chunks(self) -> AsyncIterator[CompletionChunk]:
        """The answer in pieces: the roles, then what each choice adds, with the usage in the last one.

        Raises:
            EngineUnavailableError: the engine died.
            CompletionFailedError: no choice could be completed.
            RequestTimeoutError: it took too long.
        """
        try:
            if self._generation is None:
                yield self._beginning()
                for index, choice in enumerate(self._choices):
                    yield self._finished(index, choice, [], "length")
                return
            beginning: CompletionChunk | None = self._beginning()
            async for delta in self._generation:
                update = self._update(delta)
                if update is None:
                    continue
                if beginning is not None:
                    yield beginning
                    beginning = None
                yield update
            if self._timed_out:
                raise RequestTimeoutError
        finally:
            self.cancel()

    async def collect(self) -> ChatCompletionResponse:
        """The whole answer; raises what ``chunks`` raises."""
        deltas: list[list[DeltaMessage]] = [[] for _ in self._choices]
        logprobs: list[list[TokenLogprob]] = [[] for _ in self._choices]
        async for chunk in self.chunks():
            for part in chunk.choices:
                deltas[part.index].append(part.delta)
                if part.logprobs:
                    logprobs[part.index] += part.logprobs.content
        return ChatCompletionResponse(
            id=self.id,
            object="chat.completion",
            created=self.created,
            model=self.model,
            choices=[
                ChatCompletionChoice(
                    index=index,
                    message=whole_message(deltas[index]),
                    finish_reason=choice.finish or "error",
                    **({} if choice.logprobs is None else {"logprobs": ChoiceLogprobs(content=logprobs[index])}),
                )
                for index, choice in enumerate(self._choices)
            ],
            usage=self._usage(),
        )

    def cancel(self) -> None:
        """Stop generating."""
        if self._deadline:
            self._deadline.cancel()
        if self._generation:
            self._generation.cancel()

    def _time_out(self) -> None:
        self._timed_out = True
        self.cancel()

    def _beginning(self) -> CompletionChunk:
        delta = DeltaMessage(role="assistant", content=self._prompt.prefix)
        return self._chunk(
            [
                CompletionResponseStreamChoice(index=index, delta=delta, finish_reason=None)
                for index in range(len(self._choices))
            ]
        )

    def _update(self, delta: Delta) -> CompletionChunk | None:
        """What a delta of the engine adds to the stream, if anything."""
        choice = self._choices[delta.choice]
        if delta.choice == 0:
            self._cached_tokens = delta.cached_tokens
        choice.accepted, choice.rejected = delta.accepted, delta.rejected
        counted = choice.output.tokens
        parts = choice.output.push(delta.tokens)
        if choice.logprobs is not None and delta.logprobs:
            counted = choice.output.tokens - counted
            known = choice_logprobs(self._vocabulary, delta.tokens[:counted], delta.logprobs[:counted])
            choice.logprobs += known.content
        reason = delta.finish
        if reason and not choice.output.stopped:
            parts += choice.output.finish()
        if choice.output.stopped:
            assert self._generation is not None
            self._generation.stop(delta.choice)
            reason = "stop"
        choice.has_calls = choice.has_calls or any(isinstance(part, CallBegun) for part in parts)
        if choice.whole_calls:
            parts = choice.whole_calls.push(parts, is_end=reason is not None)
        if reason:
            return self._finished(delta.choice, choice, parts, reason)
        return self._added(delta.choice, parts, None) if parts else None

    def _finished(self, index: int, choice: _Choice, parts: list[Part], reason: FinishReason) -> CompletionChunk:
        choice.finish = "tool_calls" if reason == "stop" and choice.has_calls else reason
        chunk = self._added(index, parts, choice.finish)
        if all(choice.finish for choice in self._choices):
            if all(choice.finish == "error" for choice in self._choices):
                raise CompletionFailedError("The model could not complete this prompt in the form asked for")
            chunk.usage = self._usage()
        return chunk

    def _added(self, index: int, parts: list[Part], reason: FinishReason | None) -> CompletionChunk:
        choice = self._choices[index]
        delta = delta_message(parts, in_chunks=self._in_chunks, call_id=choice.call_id)
        part = CompletionResponseStreamChoice(index=index, delta=delta, finish_reason=reason)
        if choice.logprobs:
            part.logprobs = ChoiceLogprobs(content=choice.logprobs)
            choice.logprobs = []
        return self._chunk([part])

    def _chunk(self, choices: list[CompletionResponseStreamChoice]) -> CompletionChunk:
        return CompletionChunk(
            id=self.id, object="chat.completion.chunk", created=self.created, model=self.model, choices=choices
        )

    def _usage(self) -> UsageInfo:
        prompt = len(self._prompt.tokens)
        completion = sum(choice.output.tokens for choice in self._choices)
        usage = UsageInfo(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            num_cached_tokens=self._cached_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=self._cached_tokens),
        )
        if self._predicted:
            usage.completion_tokens_details = CompletionTokensDetails(
                accepted_prediction_tokens=sum(choice.accepted for choice in self._choices),
                rejected_prediction_tokens=sum(choice.rejected for choice in self._choices),
            )
        return usage
