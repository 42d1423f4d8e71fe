"""One request for embeddings, end to end."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from ponant.api.base import UsageInfo
from ponant.api.embeddings import EmbeddingRequest, EmbeddingResponse, EmbeddingResponseData
from ponant.engine.embed.base import Embedder, Embeddings, InputTooLongError
from ponant.errors import InvalidRequestError

MOST_TEXTS = 2048
"""How many texts a request may have."""


class EmbeddingModel(Protocol):
    """A loaded model that embeds."""

    @property
    def embedder(self) -> Embedder:
        """What computes."""
        ...


class EmbeddingModels(Protocol):
    """Models by their names."""

    def use(self, name: str, *, kind: Literal["embed"]) -> AbstractAsyncContextManager[EmbeddingModel]:
        """The model of this name, loaded, for as long as the block runs."""
        ...


class EmbeddingService:
    """Answers requests for embeddings."""

    def __init__(self, models: EmbeddingModels) -> None:
        """Answer with these models."""
        self._models = models

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResponse:
        """Answer a request. Cancelling it drops what has not begun.

        Raises:
            InvalidRequestError: it makes no sense, or asks for what the model cannot do.
            UnknownModelError: there is no such model.
            EmbeddingFailedError: the model gave no usable vector for a text.
            QueueFullError: too many requests wait already.
            EngineUnavailableError: the model's embedder is not ready, or died.
        """
        texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        _check(texts)
        async with self._models.use(request.model, kind="embed") as model:
            dimensions = model.embedder.info.dimensions
            if request.output_dimension is not None and request.output_dimension > dimensions:
                raise InvalidRequestError(
                    f"output_dimension is {request.output_dimension}, but the vectors of model {request.model} have "
                    f"{dimensions} dimensions",
                    param="output_dimension",
                )
            try:
                embeddings = await model.embedder.embed(texts)
            except InputTooLongError as error:
                raise _too_long(error, request.model) from None
        return await asyncio.to_thread(_response, request, embeddings)


def _check(texts: Sequence[str]) -> None:
    if not texts:
        raise InvalidRequestError("The input is empty: it must be a text or a list of texts", param="input")
    if len(texts) > MOST_TEXTS:
        raise InvalidRequestError(
            f"The input has {len(texts)} texts, and a request may have {MOST_TEXTS}: send several requests",
            param="input",
        )
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


def _response(request: EmbeddingRequest, embeddings: Embeddings) -> EmbeddingResponse:
    from ponant.embedding.numbers import quantized, shortened, written  # numpy, which chats do without

    vectors = shortened(embeddings.vectors, request.output_dimension or embeddings.vectors.shape[1])
    rows = written(quantized(vectors, request.output_dtype), request.encoding_format)
    tokens = sum(embeddings.tokens)
    # Checking what was made just now would take longer than making it.
    data = [
        EmbeddingResponseData.model_construct(object="embedding", embedding=row, index=index)
        for index, row in enumerate(rows)
    ]
    return EmbeddingResponse.model_construct(
        id=f"embd-{uuid.uuid4().hex}",
        object="list",
        data=data,
        model=request.model,
        usage=UsageInfo(prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens),
    )
