"""A request being answered: the chunks of its stream, or its whole response."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from ponant.api.base import UsageInfo
from ponant.api.chat import (
    ChatCompletionChoice,
    ChatCompletionResponse,
    ChoiceLogprobs,
    CompletionChunk,
    CompletionResponseStreamChoice,
)
from ponant.catalog.loading.loaded import LoadedModel
from ponant.completion.calls import CallStyle
from ponant.completion.choice import Choice, Update
from ponant.completion.choice_stream import ChoiceStream
from ponant.completion.message import call_ids, whole_message
from ponant.completion.output import AnswerOutput
from ponant.completion.spec import CompletionSpec
from ponant.completion.usage import completion_usage
from ponant.engine.base import Delta, GenerateRequest, Generation
from ponant.errors import DeadlineExceededError, EngineError, InvalidRequestError
from ponant.prompts.chat.prompt import Prompt


class CompletionFailedError(EngineError):
    """The model could not complete the prompt."""


class Completion:
    """A request being answered.

    After ``start``, iterate over ``chunks`` once or call ``collect`` once. ``cancel`` ends it at any time.

    Attributes:
        id: id of the response.
        created: time of its creation, in seconds since the epoch.
        model: name of the model in the response.
    """

    def __init__(
        self,
        model: LoadedModel,
        prompt: Prompt,
        request: GenerateRequest,
        spec: CompletionSpec,
        *,
        timeout: float,
    ) -> None:
        """Prepare a completion; nothing is generated before ``start``.

        Args:
            model: model that completes the prompt.
            prompt: the prompt.
            request: request for the engine.
            spec: request of the client.
            timeout: most seconds from the start to the end.
        """
        self.id = f"cmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.model = spec.model or model.id
        self._engine = model.engine
        self._prompt = prompt
        self._request = request
        self._predicted = spec.prediction is not None
        self._constrained_by = spec.constrained_by
        self._timeout = timeout
        self._in_chunks = prompt.output_format.thinking is not None
        self._call_ids = [call_ids(seed, len(prompt.tokens)) for seed in request.seeds]
        self._choices = [_choice(index, model, prompt, request, spec.stops) for index in range(len(request.seeds))]
        self._cached_tokens = 0
        self._timed_out = False
        self._generation: Generation | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Hand the request to the model's engine.

        Raises:
            QueueFullError: too many requests wait.
            EngineUnavailableError: the engine is not ready.
        """
        if self._request.max_tokens == 0:
            return
        self._generation = self._engine.generate(self._request)
        self._deadline = asyncio.get_running_loop().call_later(self._timeout, self._time_out)

    async def chunks(self, calls: CallStyle = "whole") -> AsyncIterator[CompletionChunk]:
        """Yield the chunks of a stream: the roles, then the pieces of all choices, with the usage in the last one.

        Args:
            calls: form of calls.

        Raises:
            EngineError: the engine refused the request, or failed under it.
            InvalidRequestError: the request's schemas are too complex to follow.
            CompletionFailedError: no choice could be completed.
            DeadlineExceededError: the request took longer than ``timeout``.
        """
        streams = [
            ChoiceStream(index, in_chunks=self._in_chunks, call_id=call_id, calls=calls)
            for index, call_id in enumerate(self._call_ids)
        ]
        has_begun = False
        async with aclosing(self._updates()) as updates:
            async for update in updates:
                if not has_begun:
                    has_begun = True
                    yield self._chunk([stream.beginning(self._prompt.prefix) for stream in streams])
                piece = streams[update.choice].push(update)
                if piece is None:
                    continue
                chunk = self._chunk([piece])
                if self._is_complete:
                    chunk.usage = self._usage()
                yield chunk

    async def collect(self) -> ChatCompletionResponse:
        """Return the whole response. Raises as ``chunks``."""
        updates: list[list[Update]] = [[] for _ in self._choices]
        async with aclosing(self._updates()) as arriving:
            async for update in arriving:
                updates[update.choice].append(update)
        return ChatCompletionResponse(
            id=self.id,
            object="chat.completion",
            created=self.created,
            model=self.model,
            choices=[self._whole_choice(index, gathered) for index, gathered in enumerate(updates)],
            usage=self._usage(),
        )

    def cancel(self) -> None:
        """Stop generating."""
        if self._deadline:
            self._deadline.cancel()
        if self._generation:
            self._generation.cancel()

    @property
    def _is_complete(self) -> bool:
        return all(choice.finish for choice in self._choices)

    def _time_out(self) -> None:
        self._timed_out = True
        self.cancel()

    async def _updates(self) -> AsyncGenerator[Update, None]:
        """Yield the updates of all choices. Raises as ``chunks``."""
        try:
            if self._request.max_tokens == 0:
                for choice in self._choices:
                    yield choice.end("length")
                return
            assert self._generation, "start comes first"
            async for delta in self._generation:
                yield self._update(delta, self._generation)
            if self._timed_out:
                raise DeadlineExceededError
        finally:
            self.cancel()

    def _update(self, delta: Delta, generation: Generation) -> Update:
        if delta.choice == 0:
            self._cached_tokens = delta.cached_tokens
        choice = self._choices[delta.choice]
        update = choice.push(delta)
        if choice.stopped:
            generation.stop(delta.choice)
        if all(choice.finish == "error" for choice in self._choices):
            raise self._failure()
        return update

    def _failure(self) -> Exception:
        """Return the error of a request without a completed choice."""
        if self._constrained_by and any(choice.grammar_failed for choice in self._choices):
            return InvalidRequestError(
                f"The schemas of {self._constrained_by} are too complex to follow with this model: simplify their "
                "regular expressions and alternatives",
                param=self._constrained_by,
            )
        return CompletionFailedError("The model could not complete this prompt in the requested format")

    def _chunk(self, choices: list[CompletionResponseStreamChoice]) -> CompletionChunk:
        return CompletionChunk(
            id=self.id, object="chat.completion.chunk", created=self.created, model=self.model, choices=choices
        )

    def _whole_choice(self, index: int, updates: Sequence[Update]) -> ChatCompletionChoice:
        parts = itertools.chain.from_iterable(update.parts for update in updates)
        choice = ChatCompletionChoice(
            index=index,
            message=whole_message(
                list(parts), prefix=self._prompt.prefix, in_chunks=self._in_chunks, call_id=self._call_ids[index]
            ),
            finish_reason=self._choices[index].finish or "error",
        )
        if self._request.top_logprobs is not None:
            logprobs = itertools.chain.from_iterable(update.logprobs for update in updates)
            choice.logprobs = ChoiceLogprobs(content=list(logprobs))
        return choice

    def _usage(self) -> UsageInfo:
        return completion_usage(len(self._prompt.tokens), self._cached_tokens, self._choices, predicted=self._predicted)


def _choice(index: int, model: LoadedModel, prompt: Prompt, request: GenerateRequest, stops: Sequence[str]) -> Choice:
    output = AnswerOutput(
        model.vocabulary.piece, stops, min_tokens=request.min_tokens, output_format=prompt.output_format
    )
    return Choice(index, output, model.vocabulary)
