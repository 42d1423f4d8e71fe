"""The answer to a request for embeddings, and its JSON."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic_core import to_json

from ponant.api.base import UsageInfo
from ponant.api.embeddings import EmbeddingResponse, EncodingFormat

if TYPE_CHECKING:
    from ponant.embedding.numbers import Numbers

_PIECE = 2**15
"""Numbers that are written at once: JSON of about 700 kB."""


@dataclass(frozen=True, slots=True)
class EmbeddingAnswer:
    """Embeddings of the texts of a request.

    Attributes:
        model: name of the model in the request.
        model_id: id of the model.
        numbers: numbers of the embeddings, one row for each text.
        encoding: encoding of a row.
        tokens: number of tokens of all texts.
    """

    model: str
    model_id: str
    numbers: "Numbers"
    encoding: EncodingFormat
    tokens: int

    def summary(self) -> EmbeddingResponse:
        """Return the response without its embeddings."""
        return EmbeddingResponse(
            id=f"embd-{uuid.uuid4().hex}",
            object="list",
            data=[],
            model=self.model,
            usage=UsageInfo(prompt_tokens=self.tokens, completion_tokens=0, total_tokens=self.tokens),
        )

    def entries(self) -> Iterator[bytes]:
        """Yield the JSON of the embeddings in pieces, as it takes many times the memory of the numbers."""
        from ponant.embedding.numbers import written  # here, as it imports numpy

        step = max(1, _PIECE // self.numbers.shape[1])
        for begin in range(0, len(self.numbers), step):
            rows = written(self.numbers[begin : begin + step], self.encoding)
            entries = [
                {"object": "embedding", "embedding": row, "index": index} for index, row in enumerate(rows, begin)
            ]
            yield (b"," if begin else b"") + to_json(entries)[1:-1]
