"""A request being answered: the chunks of its stream, or its whole response."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from ponant.api.base import UsageInfo
from ponant.api.chat import (
    ChatCompletionChoice,
    ChatCompletionResponse,
    ChoiceLogprobs,
    CompletionChunk,
    CompletionResponseStreamChoice,
)
from ponant.catalog.loading.loaded import LoadedModel
from ponant.completion.answer import Piece, TextPiece, Write
from ponant.completion.calls import CallStyle
from ponant.completion.choice import Choice, Update
from ponant.completion.choice_stream import ChoiceStream
from ponant.completion.figures import AnswerFigures
from ponant.completion.logprobs import PromptLogprobs
from ponant.completion.message import call_ids, whole_message
from ponant.completion.output import AnswerOutput
from ponant.completion.spec import CompletionSpec
from ponant.completion.turns import turn
from ponant.completion.usage import completion_usage
from ponant.engine.base import Delta, GenerateRequest, Generation
from ponant.errors import DeadlineExceededError, EngineError, EngineRestartedError, InvalidRequestError
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.text_places import TextPlaces


class CompletionFailedError(EngineError):
    """The model could not complete the prompt."""


Take = Callable[[Update], bool]
"""Takes an update when it arrives; returns False for one that must be yielded."""


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
        self._loaded = model
        self._spec = spec
        self._prompt = prompt
        self._request = request
        self._is_text = spec.is_text
        self._predicted = spec.prediction is not None
        self._constrained_by = spec.constrained_by
        self._timeout = timeout
        self._in_chunks = prompt.output_format.thinking is not None
        self._call_ids = [call_ids(seed, len(prompt.tokens)) for seed in request.seeds]
        self._timed_out = False
        self._generation: Generation | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._turn = turn()
        self._ahead: Update | Exception | None = None
        """Result of the next delta, which was pushed when it arrived."""
        self._begin()

    def _begin(self) -> None:
        """Prepare for a run of the request."""
        scored = self._request.prompt_logprobs is not None
        self._prompt_logprobs = PromptLogprobs(self._loaded.vocabulary, self._prompt) if scored else None
        self._choices = [
            _choice(index, self._loaded, self._prompt, self._spec) for index in range(len(self._request.seeds))
        ]
        self._cached_tokens = 0
        self._first_token: float | None = None
        self._ahead = None

    @property
    def figures(self) -> AnswerFigures:
        """Figures of the answer so far."""
        return AnswerFigures(
            self._loaded.id,
            len(self._prompt.tokens),
            self._cached_tokens,
            sum(choice.tokens for choice in self._choices),
            self._first_token,
        )

    def start(self) -> None:
        """Hand the request to the model's engine.

        Raises:
            QueueFullError: too many requests wait.
            EngineUnavailableError: the engine is not ready.
        """
        if self._is_empty:
            return
        self._generation = self._loaded.engine.generate(self._request)
        self._deadline = asyncio.get_running_loop().call_later(self._timeout, self._time_out)

    async def chunks(
        self, calls: CallStyle = "whole", *, running_usage: bool = False, write: Write | None = None
    ) -> AsyncIterator[Piece]:
        """Yield the pieces of a stream: the roles, then the pieces of all choices, with the usage in the last one.

        If the engine begins the request again, so does the stream, unless it has pieces that would not be repeated.

        Args:
            calls: form of calls.
            running_usage: as for ``Answer.chunks``.
            write: as for ``Answer.chunks``.

        Raises:
            EngineError: the engine refused the request, or failed under it.
            InvalidRequestError: the request's schemas are too complex to follow.
            CompletionFailedError: no choice could be completed.
            DeadlineExceededError: the request took longer than ``timeout``.
        """
        run = _Run(self._streams(calls), write)
        async with aclosing(self._updates(run.take if write and not running_usage else None)) as updates:
            async for update in updates:
                if update is None:
                    if run.has_pieces:
                        raise EngineRestartedError
                    run.streams = self._streams(calls)
                    continue
                if not run.has_begun:
                    run.has_begun = True
                    yield self._beginning(run.streams, has_usage=running_usage)
                stream = run.streams[update.choice]
                if text := None if running_usage else stream.text_piece(update):
                    run.has_pieces = True
                    yield text
                    continue
                piece = stream.push(update)
                if piece is None:
                    continue
                run.has_pieces = True
                chunk = self._chunk([piece])
                if running_usage or self._is_complete:
                    chunk.usage = self._usage()
                yield chunk

    def chunk_of(self, piece: TextPiece) -> CompletionChunk:
        """Return a piece of the stream as a whole chunk."""
        return self._chunk([self._streams("whole")[piece.choice].choice_of(piece)])

    def _streams(self, calls: CallStyle) -> list[ChoiceStream]:
        return [
            ChoiceStream(index, in_chunks=self._in_chunks, call_id=call_id, calls=calls)
            for index, call_id in enumerate(self._call_ids)
        ]

    async def collect(self) -> ChatCompletionResponse:
        """Return the whole response. Raises as ``chunks``."""
        updates: list[list[Update]] = [[] for _ in self._choices]

        def take(update: Update) -> bool:
            updates[update.choice].append(update)
            return True

        async with aclosing(self._updates(take)) as arriving:
            async for update in arriving:
                if update is None:
                    updates = [[] for _ in self._choices]
                else:
                    take(update)
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

    @property
    def _is_empty(self) -> bool:
        """True if nothing needs to be computed."""
        return self._request.max_tokens == 0 and self._prompt_logprobs is None

    def _time_out(self) -> None:
        self._timed_out = True
        self.cancel()

    async def _updates(self, take: Take | None) -> AsyncGenerator[Update | None, None]:
        """Yield the updates of all choices that are not taken; None voids those before. Raises as ``chunks``."""
        try:
            if self._is_empty:
                for choice in self._choices:
                    yield choice.end("length")
                return
            assert self._generation, "start comes first"
            if take and self._prompt_logprobs is None:
                self._generation.follow(lambda delta: self._push_ahead(delta, take))
            held: list[Update] = []  # until the log-probabilities of the prompt are there
            async for delta in _deltas(self._generation):
                if delta is None:
                    held.clear()
                    self._begin()
                    yield None
                    continue
                if self._prompt_logprobs and delta.prompt_logprobs:
                    self._prompt_logprobs.push(delta.prompt_logprobs)
                    if not delta.tokens and not delta.finish:
                        continue
                held.append(self._update(delta, self._generation))
                if self._prompt_logprobs is None or self._prompt_logprobs.complete:
                    for update in held:
                        yield update
                    held.clear()
            for update in held:
                yield update
            if self._timed_out:
                raise DeadlineExceededError
        finally:
            self.cancel()

    def _push_ahead(self, delta: Delta, take: Take) -> bool:
        """Push a delta that has just arrived, and let its update be taken, unless the choice ends with it."""
        if delta.finish or not self._turn.has_time():
            return False
        try:
            self._ahead = self._push(delta)
            is_taken = not self._choices[delta.choice].stopped and take(self._ahead)
        except Exception as error:  # it is the request's, and not that of the engine, which calls this
            self._ahead = error
            return False
        if is_taken:
            self._ahead = None
        return is_taken

    def _push(self, delta: Delta) -> Update:
        if delta.choice == 0:
            self._cached_tokens = delta.cached_tokens
        if self._first_token is None and delta.tokens:
            self._first_token = time.monotonic()
        return self._choices[delta.choice].push(delta)

    def _update(self, delta: Delta, generation: Generation) -> Update:
        update, self._ahead = self._ahead or self._push(delta), None
        if isinstance(update, Exception):
            raise update
        if self._choices[delta.choice].stopped:
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

    def _beginning(self, streams: Sequence[ChoiceStream], *, has_usage: bool) -> CompletionChunk:
        logprobs = self._prompt_logprobs.content if self._prompt_logprobs else None
        chunk = self._chunk(
            [stream.beginning(self._prompt.prefix, logprobs, is_text=self._is_text) for stream in streams]
        )
        if has_usage:
            chunk.usage = self._usage()
        return chunk

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
        of_prompt = self._prompt_logprobs.content if self._prompt_logprobs else []
        if self._request.top_logprobs is not None:
            logprobs = itertools.chain.from_iterable(update.logprobs for update in updates)
            choice.logprobs = ChoiceLogprobs(content=[*(of_prompt if self._is_text else []), *logprobs])
        if self._prompt_logprobs and not self._is_text:
            choice.prompt_logprobs = ChoiceLogprobs(content=of_prompt)
        return choice

    def _usage(self) -> UsageInfo:
        return completion_usage(len(self._prompt.tokens), self._cached_tokens, self._choices, predicted=self._predicted)


@dataclass(slots=True)
class _Run:
    """State of a stream.

    Attributes:
        streams: writers of the choices.
        write: writes text at once.
        has_begun: True if the beginning was yielded.
        has_pieces: True if something after it was yielded or written.
    """

    streams: list[ChoiceStream]
    write: Write | None
    has_begun: bool = False
    has_pieces: bool = False

    def take(self, update: Update) -> bool:
        """Write the text of an update that adds nothing else."""
        piece = self.streams[update.choice].text_piece(update) if self.has_begun else None
        if piece is None or self.write is None or not self.write(piece):
            return False
        self.has_pieces = True
        return True


async def _deltas(generation: Generation) -> AsyncIterator[Delta | None]:
    """Yield the deltas of a generation, each when the turn has time for it; None if it begins again."""
    current = turn()
    while True:
        try:
            delta = await anext(generation)
        except StopAsyncIteration:
            return
        except EngineRestartedError:
            yield None
        else:
            await current.share()
            yield delta


def _choice(index: int, model: LoadedModel, prompt: Prompt, spec: CompletionSpec) -> Choice:
    output_format = replace(prompt.output_format, end_tokens=frozenset()) if spec.ignore_eos else prompt.output_format
    output = AnswerOutput(model.vocabulary.piece, spec.stops, min_tokens=spec.min_tokens, output_format=output_format)
    return Choice(
        index,
        output,
        model.vocabulary,
        places=TextPlaces(len(prompt.prefix)) if spec.is_text else None,
        writes_end=spec.is_text and spec.prompt_logprobs is not None,
    )
