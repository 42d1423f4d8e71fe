"""The worker process of an embedder: reads requests from a socket, embeds their texts in batches, writes vectors back.

Started as ``python -m ponant.engine.embed.worker FD`` with a connected socket as file descriptor ``FD``. It ends when
the parent closes the socket. It runs at a lower priority than engines, as a delay harms a streamed answer more than a
vector.
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
"""Most tokens of a batch of several texts. Larger batches are hardly faster, and other requests wait longer."""
STEP_TEXTS = 64
_STEP_TOKENS_AMONG_OTHERS = 64
"""The same while engines wait for the processor cores."""
_PREPARED_AT_ONCE = 50_000
"""Characters of text to prepare between two batches."""


class Worker:
    """One model and its requests."""

    def __init__(self, model: EmbeddingModel[Any], core_lock: CoreLock | None) -> None:
        self._model = model
        self._core_lock = core_lock
        self._queue: EmbeddingQueue[Any] = EmbeddingQueue()

    def serve(self, connection: Connection[ToEmbedder]) -> None:
        """Work until the parent closes the connection."""
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
        """Prepare texts; returns an answer for each request with a text that is too long."""
        refused: list[TooLong] = []
        characters = 0
        while characters < _PREPARED_AT_ONCE and (job := self._queue.next_to_prepare()):
            index = len(job.prepared)
            text = self._model.prepare(job.texts[index])
            characters += len(job.texts[index])
            if text.windows:
                job.prepare(text)
            else:
                self._queue.drop(job.id)
                refused.append(TooLong(job.id, index, text.tokens, text.exact))
        return refused

    def _compute(self) -> list[Embedded | EmbedFailed]:
        """Compute one batch; returns the answers of requests that are finished by it."""
        contended = self._core_lock is not None and self._core_lock.contended
        most_tokens = _STEP_TOKENS_AMONG_OTHERS if contended else STEP_TOKENS
        step = self._queue.next_step(most_tokens=most_tokens, most_texts=STEP_TEXTS)
        if not step:
            return []
        windows = [job.window(index) for job, index in step]
        vectors = self._model.embed(windows)
        if len(step) > 1 and not np.isfinite(vectors).all():
            # NaN spreads over a batch. Embedding each window alone finds the ones that cause it.
            vectors = np.concatenate([self._model.embed([window]) for window in windows])
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
                    EmbedFailed(
                        job.id, f"the model's vector for text {job.text_of(index)} has values that are no numbers"
                    )
                )
            elif job.is_done:
                answers.append(Embedded(job.id, job.vectors().tobytes(), [text.tokens for text in job.prepared]))
        return answers


def load(config: EmbedderConfig) -> EmbeddingModel[Any]:
    """Load the model of a configuration. Raises ModelLoadError."""
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
