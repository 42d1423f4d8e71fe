"""The process that embeds: reads requests from a socket, computes their texts in batches, writes vectors back.

Started as ``python -m ponant.engine.embed.worker FD`` with an open socket as file descriptor ``FD``. It ends when
the other side closes the socket. It steps back where other processes want to compute: an answer that is read as it is
written suffers more from waiting than a vector does.
"""

import contextlib
import os
from typing import Any

import numpy as np

from ponant.engine.embed.base import EmbedderConfig
from ponant.engine.embed.frames import (
    Drop,
    Embed,
    Embedded,
    EmbedFailed,
    LoadEmbedder,
    ToEmbedder,
    TooLong,
    decode_to_embedder,
)
from ponant.engine.embed.model import EmbeddingModel
from ponant.engine.embed.queue import EmbeddingQueue, Job
from ponant.errors import ModelLoadError
from ponant.processes.child import Connection, parent
from ponant.processes.core_lock import CoreLock
from ponant.processes.frames import Loaded, LoadFailed

_NICENESS = 5
STEP_TOKENS = 256
"""The most tokens that several texts computed together have: more would hardly be faster, and others wait longer."""
STEP_TEXTS = 64
_STEP_TOKENS_AMONG_OTHERS = 64
"""The most that they have while engines wait for the same processor cores."""
_PREPARED_AT_ONCE = 50_000
"""Characters of text that are prepared between two steps."""


class Worker:
    """One model and the requests it is working on."""

    def __init__(self, model: EmbeddingModel[Any], core_lock: CoreLock | None) -> None:
        self._model = model
        self._core_lock = core_lock
        self._queue: EmbeddingQueue[Any] = EmbeddingQueue()

    def serve(self, connection: Connection[ToEmbedder]) -> None:
        """Work until the other side closes the connection."""
        while True:
            if self._core_lock and self._queue.idle:
                self._core_lock.release()
            for frame in connection.receive(wait=self._queue.idle):
                self._take(frame)
            with self._core_lock or contextlib.nullcontext():
                answers = (*self._prepare(), *self._compute())
            for answer in answers:
                connection.send(answer)

    def _take(self, frame: ToEmbedder) -> None:
        match frame:
            case Embed(id=request_id, texts=texts):
                self._queue.add(Job(request_id, texts, self._model.info.dimensions))
            case Drop(id=request_id):
                self._queue.drop(request_id)
            case LoadEmbedder():
                raise ValueError("a model is loaded already")

    def _prepare(self) -> list[TooLong]:
        """Prepare some texts; returns the requests that are refused for it."""
        refused: list[TooLong] = []
        characters = 0
        while characters < _PREPARED_AT_ONCE and (job := self._queue.next_to_prepare()):
            index = len(job.prepared)
            text = self._model.prepare(job.texts[index])
            characters += len(job.texts[index])
            if text.tokens > self._model.info.context:
                self._queue.drop(job.id)
                refused.append(TooLong(job.id, index, text.tokens, text.exact))
            else:
                job.prepared.append(text)
        return refused

    def _compute(self) -> list[Embedded | EmbedFailed]:
        """Compute some texts; returns the answers to requests that end with it."""
        contended = self._core_lock is not None and self._core_lock.contended
        most_tokens = _STEP_TOKENS_AMONG_OTHERS if contended else STEP_TOKENS
        step = self._queue.next_step(most_tokens=most_tokens, most_texts=STEP_TEXTS)
        if not step:
            return []
        texts = [job.prepared[index] for job, index in step]
        vectors = self._model.embed(texts)
        if len(step) > 1 and not np.isfinite(vectors).all():
            # What is not a number spreads over a batch: those that are to blame are found one by one.
            vectors = np.concatenate([self._model.embed([text]) for text in texts])
        answers: list[Embedded | EmbedFailed] = []
        failed: set[int] = set()
        for (job, index), vector in zip(step, vectors, strict=True):
            job.put(index, vector)
            if job.id in failed:
                continue
            if not np.isfinite(vector).all():
                failed.add(job.id)
                self._queue.drop(job.id)
                answers.append(
                    EmbedFailed(job.id, f"the model's vector for text {index} has values that are no numbers")
                )
            elif job.is_done:
                answers.append(Embedded(job.id, job.vectors.tobytes(), [text.tokens for text in job.prepared]))
        return answers


def load(config: EmbedderConfig) -> EmbeddingModel[Any]:
    """The model that the configuration names. Raises ModelLoadError."""
    if config.model_path is None:
        from ponant.engine.embed.e5 import E5

        return E5(config)
    from ponant.engine.embed.gguf import LlamaEmbeddings

    return LlamaEmbeddings(config, most_tokens=STEP_TOKENS, most_texts=STEP_TEXTS)


def main() -> None:
    """Serve the socket given on the command line."""
    os.nice(_NICENESS)
    with parent(decode_to_embedder) as connection:
        (first,) = connection.receive(wait=True)
        if not isinstance(first, LoadEmbedder):
            raise TypeError("the first frame must name the model")
        try:
            model = load(first.config)
        except ModelLoadError as error:
            connection.send(LoadFailed(str(error)))
            return
        connection.send(Loaded(model.info))
        Worker(model, CoreLock(first.config.core_slot) if first.config.core_slot else None).serve(connection)


if __name__ == "__main__":
    main()
