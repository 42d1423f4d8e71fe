"""The service that answers requests for embeddings."""

import asyncio
import functools
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from ponant.api.embeddings import EmbeddingRequest
from ponant.callers import Caller
from ponant.embedding.answer import EmbeddingAnswer
from ponant.engine.embed.base import Embedder, EmbeddingText, InputTooLongError, TextVectors
from ponant.errors import InvalidRequestError

_MOST_HERE = 2**12
"""Most numbers that are converted on the event loop. A thread costs more time for fewer."""


class ServedEmbedder(Protocol):
    """A loaded embedding model."""

    @property
    def id(self) -> str:
        """Id of the model."""
        ...

    @property
    def embedder(self) -> Embedder:
        """The embedder of the model."""
        ...


class ServedEmbedders(Protocol):
    """The embedding models by name. None stands for the first one."""

    def use(self, name: str | None, *, kind: Literal["embed"]) -> AbstractAsyncContextManager[ServedEmbedder]:
        """Return a context manager that keeps the model of this name loaded."""
        ...


class EmbeddingService:
    """Answers requests for embeddings."""

    def __init__(self, models: ServedEmbedders) -> None:
        """Answer requests with these models."""
        self._models = models

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> EmbeddingAnswer:
        """Answer a request. Cancelling the call drops the texts that are not yet in a batch.

        Raises:
            InvalidRequestError: the request is invalid, or asks for a feature that the model does not have.
            UnknownModelError: there is no such model.
            EmbeddingFailedError: the model computed no usable vector for a text.
            QueueFullError: too many requests wait.
            EngineUnavailableError: the model's embedder is not ready, or died.
        """
        texts: Sequence[EmbeddingText] = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        _check(texts)
        async with self._models.use(request.model, kind="embed") as model:
            name = request.model or model.id
            _check_tokens(texts, name, model.embedder.info.vocabulary_size)
            dimensions = model.embedder.info.dimensions
            if request.output_dimension is not None and request.output_dimension > dimensions:
                raise InvalidRequestError(
                    f"output_dimension is {request.output_dimension}, but the vectors of model {name} have "
                    f"{dimensions} dimensions",
                    param="output_dimension",
                )
            try:
                embeddings = await model.embedder.embed(texts)
            except InputTooLongError as error:
                raise _too_long(error, name) from None
        work = functools.partial(_answer, request, name, model.id, embeddings)
        return work() if embeddings.vectors.size <= _MOST_HERE else await asyncio.to_thread(work)


def _check_tokens(texts: Sequence[EmbeddingText], model: str, vocabulary_size: int) -> None:
    """Raise InvalidRequestError if the input has token ids that the model does not take."""
    for index, text in enumerate(texts):
        if isinstance(text, str):
            continue
        if not vocabulary_size:
            raise InvalidRequestError(f"Model {model} takes no token ids: send text", param="input")
        if (last := max(text)) >= vocabulary_size:
            raise InvalidRequestError(
                f"Text {index} of the input has token {last}, which model {model} does not have: its token ids are "
                f"0 to {vocabulary_size - 1}",
                param="input",
            )


def _check(texts: Sequence[EmbeddingText]) -> None:
    if not texts:
        raise InvalidRequestError("The input is empty: it must be a text or a list of texts", param="input")
    for index, text in enumerate(texts):
        if not text:
            raise InvalidRequestError(f"Text {index} of the input is empty", param="input")


def _too_long(error: InputTooLongError, model: str) -> InvalidRequestError:
    tokens = f"{error.tokens}" if error.exact else f"at least {error.tokens}"
    return InvalidRequestError(
        f"Text {error.index} of the input has {tokens} tokens, and model {model} takes {error.context}: cut it into "
        "pieces and embed each",
        param="input",
    )


def _answer(request: EmbeddingRequest, model: str, model_id: str, embeddings: TextVectors) -> EmbeddingAnswer:
    from ponant.embedding.numbers import quantized, shortened  # here, as it imports numpy

    vectors = shortened(embeddings.vectors, request.output_dimension or embeddings.vectors.shape[1])
    numbers = quantized(vectors, request.output_dtype)
    return EmbeddingAnswer(model, model_id, numbers, request.encoding_format, sum(embeddings.tokens))
