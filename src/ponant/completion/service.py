"""One request from its wire type to its chunks. A response is the collected stream."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from ponant.api.base import CompletionTokensDetails, PromptTokensDetails, UsageInfo
from ponant.api.chat import (
    ChatCompletionChoice,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChoiceLogprobs,
    CompletionChunk,
    CompletionResponseStreamChoice,
    DeltaMessage,
    FinishReason,
    TokenLogprob,
)
from ponant.api.messages import AssistantMessage
from ponant.catalog.catalog import Catalog, LoadedModel
from ponant.completion.logprobs import choice_logprobs
from ponant.completion.output import TextOutput
from ponant.completion.support import refuse_unsupported
from ponant.engine.base import Delta, EngineError, GenerateRequest, Generation, Sampling
from ponant.prompts.errors import InvalidRequestError
from ponant.prompts.prompt import Prompt, too_long

SAFE_PROMPT = (
    "Be helpful, honest and kind. Do not produce content that is hateful, violent, deceptive or illegal, that "
    "endangers anyone, or that violates anyone's privacy. If a request would need such content, decline it and say why."
)
"""What ``safe_prompt`` puts before a conversation, unless the settings have another text."""


_LONGEST_TOKEN = 32
"""Characters that a token of a prediction is reckoned to have at the most."""


class RequestTimeoutError(Exception):
    """The request took longer than the settings allow."""


class CompletionFailedError(EngineError):
    """The model could not complete the prompt."""


class ChatService:
    """Answers chat requests with the models of a catalog."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        request_timeout: float = 600,
        safe_prompt: str = SAFE_PROMPT,
        always_reuse: bool = False,
    ) -> None:
        """Answer from this catalog.

        Args:
            catalog: the models.
            request_timeout: seconds that a request may take.
            safe_prompt: what ``safe_prompt`` puts before a conversation.
            always_reuse: whether the prompts of seeded requests, too, may always begin with what was computed for
                other requests. It is faster, but rounding then depends on what was asked before.
        """
        self._catalog = catalog
        self._request_timeout = request_timeout
        self._safe_prompt = safe_prompt
        self._always_reuse = always_reuse

    async def start(self, request: ChatCompletionRequest) -> "Completion":
        """Begin to answer a request.

        Raises:
            InvalidRequestError: it makes no sense, or asks for what is not served.
            UnknownModelError: there is no such model.
            QueueFullError: too many requests wait already.
            EngineUnavailableError: the model's engine is not ready.
        """
        model = self._catalog.find(request.model)
        refuse_unsupported(request)
        safe = self._safe_prompt if request.safe_prompt or request.safe_mode else None
        prompt = await asyncio.to_thread(model.prompts.build, request.messages, system=safe)
        _check_length(prompt, request, model.engine.info.context)
        prediction: list[int] = []
        if request.prediction is not None:
            content = request.prediction.content.removeprefix(prompt.prefix)
            prediction = await asyncio.to_thread(_prediction, content, model)
        generate = _generate_request(request, model, prompt, prediction, always_reuse=self._always_reuse)
        return Completion(request, model, prompt, generate, timeout=self._request_timeout)


def _check_length(prompt: Prompt, request: ChatCompletionRequest, context: int) -> None:
    length = len(prompt.tokens)
    if length + (request.max_tokens or 0) > context or (request.max_tokens is None and length >= context):
        size = f"{length} tokens"
        raise too_long(f"{size} and max_tokens is {request.max_tokens}" if request.max_tokens else size, context)
    if request.max_tokens is not None and (request.min_tokens or 0) > request.max_tokens:
        raise InvalidRequestError("min_tokens is greater than max_tokens", param="min_tokens")


@dataclass(slots=True)
class _Choice:
    """A completion as far as it has come; ``logprobs`` are those not yet sent, None if none were asked for."""

    output: TextOutput
    logprobs: list[TokenLogprob] | None
    finish: FinishReason | None = None
    accepted: int = 0
    rejected: int = 0


class Completion:
    """A request being answered: iterate over ``chunks`` once, or ``collect`` them. ``cancel`` ends it at any time."""

    def __init__(
        self,
        request: ChatCompletionRequest,
        model: LoadedModel,
        prompt: Prompt,
        generate: GenerateRequest,
        *,
        timeout: float,
    ) -> None:
        """Hand the prompt to the model's engine; raises what ``Engine.generate`` raises."""
        self.id = f"cmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.model = request.model or model.spec.id
        self._prompt = prompt
        self._vocabulary = model.vocabulary
        self._predicted = request.prediction is not None
        stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
        min_tokens = request.min_tokens or 0
        self._choices = [
            _Choice(TextOutput(model.vocabulary.piece, stops, min_tokens=min_tokens), [] if request.logprobs else None)
            for _ in range(request.n or 1)
        ]
        self._reused = 0
        self._timed_out = False
        self._generation: Generation | None = None
        self._deadline: asyncio.TimerHandle | None = None
        if request.max_tokens == 0:
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
                    yield self._finished(index, choice, "", "length")
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
        texts: list[list[str]] = [[] for _ in self._choices]
        logprobs: list[list[TokenLogprob]] = [[] for _ in self._choices]
        async for chunk in self.chunks():
            for part in chunk.choices:
                texts[part.index].append(str(part.delta.content))
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
                    message=AssistantMessage(role="assistant", content="".join(texts[index]), tool_calls=None),
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
            self._reused = delta.reused
        choice.accepted, choice.rejected = delta.accepted, delta.rejected
        counted = choice.output.tokens
        text = choice.output.push(delta.tokens)
        if choice.logprobs is not None and delta.logprobs:
            counted = choice.output.tokens - counted
            known = choice_logprobs(self._vocabulary, delta.tokens[:counted], delta.logprobs[:counted])
            choice.logprobs += known.content
        if choice.output.stopped:
            assert self._generation is not None
            self._generation.stop(delta.choice)
            return self._finished(delta.choice, choice, text, "stop")
        if delta.finish:
            return self._finished(delta.choice, choice, text + choice.output.finish(), delta.finish)
        return self._added(delta.choice, text, None) if text else None

    def _finished(self, index: int, choice: _Choice, text: str, reason: FinishReason) -> CompletionChunk:
        choice.finish = reason
        chunk = self._added(index, text, reason)
        if all(choice.finish for choice in self._choices):
            if all(choice.finish == "error" for choice in self._choices):
                raise CompletionFailedError("The model produced no usable numbers for this prompt")
            chunk.usage = self._usage()
        return chunk

    def _added(self, index: int, text: str, reason: FinishReason | None) -> CompletionChunk:
        part = CompletionResponseStreamChoice(index=index, delta=DeltaMessage(content=text), finish_reason=reason)
        choice = self._choices[index]
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
            num_cached_tokens=self._reused,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=self._reused),
        )
        if self._predicted:
            usage.completion_tokens_details = CompletionTokensDetails(
                accepted_prediction_tokens=sum(choice.accepted for choice in self._choices),
                rejected_prediction_tokens=sum(choice.rejected for choice in self._choices),
            )
        return usage


def _prediction(content: str, model: LoadedModel) -> list[int]:
    """The tokens of the answer that the client expects."""
    context = model.engine.info.context  # no answer is longer, so no more of a prediction can be of use
    return model.vocabulary.tokenize(content[: _LONGEST_TOKEN * context], control=False)[:context]


def _generate_request(
    request: ChatCompletionRequest,
    model: LoadedModel,
    prompt: Prompt,
    prediction: list[int],
    *,
    always_reuse: bool,
) -> GenerateRequest:
    temperature = model.spec.default_temperature if request.temperature is None else request.temperature
    return GenerateRequest(
        prompt=prompt.tokens,
        seeds=_seeds(request.random_seed, request.n or 1),
        max_tokens=request.max_tokens,
        min_tokens=request.min_tokens or 0,
        sampling=Sampling(
            temperature=temperature,
            top_p=1.0 if request.top_p is None else request.top_p,
            top_k=max(request.top_k or 0, 0),
            repetition_penalty=request.repetition_penalty or 1.0,
            presence_penalty=request.presence_penalty or 0.0,
            frequency_penalty=request.frequency_penalty or 0.0,
        ),
        repeatable=request.random_seed is not None and not always_reuse,
        prediction=prediction,
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )


def _seeds(seed: int | None, count: int) -> list[int]:
    """A seed for each choice, all derived from the one given: the first choices of any ``n`` are the same."""
    root = np.random.SeedSequence(secrets.randbits(64) if seed is None else seed)
    return [int(child.generate_state(1, np.uint64)[0]) for child in root.spawn(count)]
