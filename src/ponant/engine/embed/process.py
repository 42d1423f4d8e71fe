"""The parent side of an embedder in a worker process."""

import asyncio
import itertools
from collections.abc import Sequence

import msgspec

from ponant.engine.device import cpu
from ponant.engine.embed.base import (
    EmbedderConfig,
    EmbedderInfo,
    EmbeddingFailedError,
    EmbeddingText,
    InputTooLongError,
    TextVectors,
)
from ponant.engine.embed.frames import (
    Answer,
    Drop,
    Embed,
    Embedded,
    EmbedFailed,
    LoadEmbedder,
    TooLong,
    decode_from_embedder,
)
from ponant.errors import EngineUnavailableError, QueueFullError, RequestRefusedError
from ponant.processes.heartbeat import USUAL_PATIENCE, Patience
from ponant.processes.outbox import Outbox
from ponant.processes.supervisor import Death, Supervised, Supervisor
from ponant.sizes import megabytes


class EmbedderProcess(Supervised[EmbedderInfo, Answer]):
    """An embedder in a worker process.

    At most ``queue_limit`` requests wait behind the running one.
    """

    def __init__(self, config: EmbedderConfig, *, queue_limit: int = 256, patience: Patience = USUAL_PATIENCE) -> None:
        self._queue_limit = queue_limit
        self._ids = itertools.count(1)
        self._requests: dict[int, asyncio.Future[TextVectors]] = {}
        worker = Supervisor[EmbedderInfo, Answer](
            "ponant.engine.embed.worker",
            LoadEmbedder(config),
            decode=decode_from_embedder,
            take=self._take,
            on_death=self._on_death,
            on_ready=self._on_ready,
            fail_all=self._fail_all,
            patience=patience,
            slot=config.core_slot,
        )
        super().__init__(worker)
        self._outbox = Outbox(worker.send, _identity)

    @property
    def busy(self) -> bool:
        """True if requests run or wait."""
        return bool(self._requests)

    @property
    def waiting(self) -> int:
        """Number of requests behind the running one."""
        return max(0, len(self._requests) - 1)

    @property
    def memory(self) -> int:
        """Size of the weights in bytes."""
        return self.info.weights_memory

    @property
    def device(self) -> str:
        """Hardware that computes; see ``Backend.device``."""
        return cpu(self.info.threads)

    def describe(self, name: str) -> str:
        """Return a line about the model; see ``Backend.describe``."""
        info = self.info
        windows = "" if info.window == info.context else f" in windows of {info.window}"
        return (
            f"Loaded {name} ({megabytes(info.weights_memory)}): texts of {info.context} tokens{windows}, "
            f"{info.dimensions} dimensions, {info.threads} threads"
        )

    async def embed(self, texts: Sequence[EmbeddingText]) -> TextVectors:
        """Embed texts; see ``Embedder.embed``."""
        if any("\0" in text for text in texts if isinstance(text, str)):
            raise ValueError("a text has a NUL character")
        self._worker.check_accepting()
        size = self.info.vocabulary_size
        if any(min(text) < 0 or max(text) >= size for text in texts if text and not isinstance(text, str)):
            raise ValueError("a text has a token that the model does not have")
        if not texts:
            return self._embeddings(b"", [])
        if len(self._requests) > self._queue_limit:
            raise QueueFullError(f"{len(self._requests) - 1} requests wait already")
        request_id = next(self._ids)
        answer: asyncio.Future[TextVectors] = asyncio.get_running_loop().create_future()
        self._outbox.add(request_id, Embed(request_id, list(texts)))
        self._requests[request_id] = answer
        try:
            return await answer
        finally:
            if self._requests.pop(request_id, None) is not None:
                if self._outbox.has_sent(request_id):
                    self._worker.send(Drop(request_id))
                self._outbox.remove(request_id)

    def _take(self, answer: Answer) -> None:
        """Dispatch an answer of the worker."""
        request = self._requests.pop(answer.id, None)
        self._outbox.remove(answer.id)
        if request is None or request.done():
            return
        match answer:
            case Embedded(vectors=vectors, tokens=tokens):
                request.set_result(self._embeddings(vectors, tokens))
            case TooLong(index=index, tokens=count, exact=exact):
                context = self.info.context
                request.set_exception(InputTooLongError(index, tokens=count, context=context, exact=exact))
            case EmbedFailed(message=message):
                request.set_exception(EmbeddingFailedError(message))

    def _embeddings(self, vectors: bytes, tokens: list[int]) -> TextVectors:
        import numpy as np  # here, to save servers without embeddings its memory and import time

        shape = (len(tokens), self.info.dimensions)
        return TextVectors(np.frombuffer(vectors, dtype=np.float32).reshape(shape), tokens)

    def _on_death(self, death: Death) -> None:
        """Keep all requests for the next worker, except those that the worker probably died of."""
        for request_id in self._outbox.close(death, self._requests.keys()):
            request = self._requests.pop(request_id)
            if not request.done():
                request.set_exception(RequestRefusedError())

    def _on_ready(self) -> None:
        self._outbox.open()

    def _fail_all(self, reason: str) -> None:
        requests = list(self._requests.values())
        self._requests.clear()
        self._outbox.clear()
        for request in requests:
            if not request.done():
                request.set_exception(EngineUnavailableError(reason))


def _identity(frame: msgspec.Struct) -> object:
    assert isinstance(frame, Embed)
    return frame.texts
