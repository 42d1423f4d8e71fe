"""Engine that plays deltas from a script, without a model."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponant.engine.base import (
    BackendState,
    Capabilities,
    Delta,
    FinishReason,
    GenerateRequest,
    Limits,
    TokenLogprobs,
)
from ponant.engine.report import StepReport
from ponant.errors import AdapterError, EngineError, EngineRestartedError, EngineUnavailableError
from ponant.prompts.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class End:
    """End of all choices that have none yet; a script without one ends with ``stop``."""

    reason: FinishReason = "stop"


@dataclass(frozen=True, slots=True)
class Restart:
    """Death of the engine, which begins the request again."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence of some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Error of ``Engine.generate`` itself, only valid as the first event of a script."""

    error: EngineError


class Gate:
    """Point of a script at which the engine waits until a test opens it, from any thread."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = False
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def open(self) -> None:
        """Open the gate."""
        with self._lock:
            self._opened = True
            waiting, self._waiting = self._waiting, []
        for loop, passed in waiting:
            loop.call_soon_threadsafe(passed.set)

    async def wait(self) -> None:
        """Wait until the gate is open."""
        passed = asyncio.Event()
        entry = (asyncio.get_running_loop(), passed)
        with self._lock:
            opened = self._opened
            if not opened:
                self._waiting.append(entry)
        self.reached.set()
        if opened:
            return
        try:
            await passed.wait()
        finally:
            with self._lock:
                if entry in self._waiting:
                    self._waiting.remove(entry)


Event = str | Delta | Exception | Gate | Pause | Refusal | Restart | End
"""Text for one delta of every choice, a delta, an error of ``__anext__``, a silence, a gate, a restart, or an end."""

Script = Iterable[Event]


class ScriptedEngine:
    """``Engine`` and ``AdapterHost`` whose requests play scripts.

    A request plays the oldest script added by ``play``, or else the one that ``usual`` returns for it. It ends with
    ``length`` after ``max_tokens`` tokens, and with ``model_length`` when the context is full.

    Attributes:
        requests: all requests.
        generations: the running and ended generations of all requests that were not refused.
        usual: returns the script of a request for which ``play`` added none.
        loaded: the file of each loaded adapter by its id.
        adapter_errors: the errors of the next calls of ``add_adapter``.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        context: int = 512,
        parallel: int = 16,
        capabilities: Capabilities | None = None,
        most_adapters: int = 4,
        usual: Callable[[GenerateRequest], Script] = lambda _: ("Hello", " world"),
    ) -> None:
        self.requests: list[GenerateRequest] = []
        self.generations: list[ScriptedGeneration] = []
        self.usual = usual
        self.loaded: dict[str, Path] = {}
        self.adapter_errors: deque[AdapterError] = deque()
        self._vocabulary = vocabulary
        self._limits = Limits(context, parallel, context * parallel)
        self._capabilities = capabilities or Capabilities()
        self._most_adapters = most_adapters
        self._scripts: deque[Script] = deque()
        self._state: BackendState = "starting"
        self._last_error: str | None = None

    def play(self, *events: Event) -> None:
        """Add the script of a future request."""
        self._scripts.append(events)

    def become(self, state: BackendState, reason: str | None = None) -> None:
        """Change the state; call it on the engine's event loop. Running requests fail unless the state is ``ready``."""
        self._state, self._last_error = state, reason
        if state != "ready":
            for generation in self.generations:
                generation.fail(EngineUnavailableError(reason or state))

    @property
    def prompts(self) -> list[str]:
        """Texts of all prompts, with their control tokens."""
        return [self.text(request.prompt) for request in self.requests]

    def tokens(self, text: str) -> list[int]:
        """Return the tokens of an answer's text."""
        return self._vocabulary.tokenize(text, control=True)

    def text(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens, with control tokens as the vocabulary spells them."""
        controls = {token: text for text, token in self._vocabulary.control_tokens().items()}
        pieces = [controls[token].encode() if token in controls else self._vocabulary.piece(token) for token in tokens]
        return b"".join(pieces).decode("utf-8", "replace")

    # Backend

    @property
    def state(self) -> BackendState:
        return self._state

    @property
    def last_error(self) -> str | None:
        return self._last_error

    @property
    def busy(self) -> bool:
        return any(generation.running for generation in self.generations)

    @property
    def waiting(self) -> int:
        return 0

    @property
    def memory(self) -> int:
        return 2**20

    @property
    def device(self) -> str:
        return "script"

    def describe(self, name: str) -> str:
        return f"Loaded {name} (scripted): context {self._limits.context} tokens"

    async def start(self) -> None:
        self.become("ready")

    async def stop(self) -> None:
        self.become("stopped")

    # Engine

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def report(self) -> StepReport:
        return StepReport(running=sum(generation.running for generation in self.generations))

    def generate(self, request: GenerateRequest) -> "ScriptedGeneration":
        if self._state != "ready":
            raise EngineUnavailableError(self._last_error or self._state)
        if request.adapter is not None and request.adapter not in self.loaded:
            raise EngineUnavailableError(f"there is no adapter {request.adapter}")
        self.requests.append(request)
        script = list(self._scripts.popleft() if self._scripts else self.usual(request))
        if script and isinstance(script[0], Refusal):
            raise script[0].error
        most = self._limits.context - len(request.prompt)
        generation = ScriptedGeneration(request, script, tokens=self.tokens, context=most)
        self.generations.append(generation)
        return generation

    # AdapterHost

    @property
    def adapters(self) -> Mapping[str, int]:
        running = [generation.request.adapter for generation in self.generations if generation.running]
        return {adapter: running.count(adapter) for adapter in self.loaded}

    @property
    def most_adapters(self) -> int:
        return self._most_adapters

    async def add_adapter(self, adapter_id: str, path: Path) -> None:
        if self._state != "ready":
            raise EngineUnavailableError(self._last_error or self._state)
        if self.adapter_errors:
            raise self.adapter_errors.popleft()
        if adapter_id in self.loaded or len(self.loaded) >= self._most_adapters:
            raise AdapterError("the id is taken, or there are too many")
        self.loaded[adapter_id] = path

    async def remove_adapter(self, adapter_id: str) -> None:
        users = [generation for generation in self.generations if generation.request.adapter == adapter_id]
        self.loaded.pop(adapter_id, None)
        for generation in users:
            await generation.ended.wait()


class ScriptedGeneration:
    """Running script.

    Attributes:
        request: the request that it answers.
        stopped: the choices that were ended by ``stop``, in order.
        cancelled: True if ``cancel`` ended it before its script did.
        ended: set at the end of all choices.
    """

    def __init__(
        self, request: GenerateRequest, script: Script, *, tokens: Callable[[str], list[int]], context: int
    ) -> None:
        self.request = request
        self.stopped: list[int] = []
        self.cancelled = False
        self.ended = asyncio.Event()
        self._tokens = tokens
        self._events: Iterator[Event] = iter(script)
        self._open = set(range(len(request.seeds)))
        self._drawn = dict.fromkeys(self._open, 0)
        self._most, self._full = _most_tokens(request, context)
        self._deltas: deque[Delta] = deque()
        if request.prompt_logprobs is not None:
            self._deltas.append(Delta(0, [], prompt_logprobs=_prompt_logprobs(request, request.prompt_logprobs)))
        self._failure: Exception | None = None
        self._follower: Callable[[Delta], bool] = lambda _: False

    @property
    def running(self) -> bool:
        """True if a choice has no end yet."""
        return bool(self._open)

    def __aiter__(self) -> "ScriptedGeneration":
        return self

    async def __anext__(self) -> Delta:
        while not self._deltas:
            if self._failure:
                raise self._failure
            if not self._open:
                raise StopAsyncIteration
            await self._play(next(self._events, End()))
        return self._deltas.popleft()

    def follow(self, take: Callable[[Delta], bool]) -> None:
        """Play deltas to ``take`` first, if none is unread."""
        self._follower = take

    def stop(self, choice: int) -> None:
        """End one choice and drop its unread deltas."""
        if choice in self._open:
            self.stopped.append(choice)
        self._deltas = deque(delta for delta in self._deltas if delta.choice != choice)
        self._close(choice)

    def cancel(self) -> None:
        """End all choices."""
        self.cancelled = self.cancelled or self.running
        self._deltas.clear()
        self._close(*self._open)

    def fail(self, error: Exception) -> None:
        """Raise an error after the unread deltas."""
        if self.running:
            self._failure = error
            self._close(*self._open)

    async def _play(self, event: Event) -> None:
        match event:
            case str():
                tokens = self._tokens(event)
                for choice in sorted(self._open):
                    self._add(Delta(choice, tokens))
            case Delta():
                self._add(event)
            case End():
                for choice in sorted(self._open):
                    self._add(Delta(choice, [], event.reason))
            case Gate():
                await self._wait(event.wait())
            case Pause():
                await self._wait(asyncio.sleep(event.seconds))
            case Restart():
                self._deltas.clear()
                self._open = set(range(len(self.request.seeds)))
                self._drawn = dict.fromkeys(self._open, 0)
                raise EngineRestartedError
            case Refusal():
                raise AssertionError("a refusal is the first event of a script")
            case _:
                self.fail(event)

    def _add(self, delta: Delta) -> None:
        """Add a delta, cut at the token limit of its choice."""
        choice = delta.choice
        if choice not in self._open:
            return
        room = self._most - self._drawn[choice]
        finish = self._full if len(delta.tokens) >= room and delta.finish is None else delta.finish
        self._drawn[choice] += len(delta.tokens[:room])
        logprobs = delta.logprobs[:room] if delta.logprobs else None
        cut = Delta(choice, delta.tokens[:room], finish, delta.cached_tokens, delta.accepted, delta.rejected, logprobs)
        if self._deltas or not self._follower(cut):
            self._deltas.append(cut)
        if finish:
            self._close(choice)

    async def _wait(self, silence: Coroutine[Any, Any, None]) -> None:
        """Wait for the end of a silence or of the generation."""
        waits = [asyncio.ensure_future(silence), asyncio.ensure_future(self.ended.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _close(self, *choices: int) -> None:
        self._open.difference_update(choices)
        if not self._open:
            self.ended.set()


def _prompt_logprobs(request: GenerateRequest, top: int) -> list[TokenLogprobs]:
    """Return log-probabilities of a prompt, by which each token is less likely than the one before."""
    known = [(token, -float(number)) for number, token in enumerate(request.prompt[1:])]
    return [TokenLogprobs(logprob, [(token, logprob)][:top]) for token, logprob in known]


def _most_tokens(request: GenerateRequest, context: int) -> tuple[int, FinishReason]:
    """Return the token limit of a choice and the finish reason at that limit."""
    return (context, "model_length") if request.max_tokens is None else (request.max_tokens, "length")
