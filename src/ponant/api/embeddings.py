"""``POST /v1/embeddings``: vectors of texts."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema

from ponant.api.base import RequestModel, ResponseModel, UsageInfo
from ponant.api.limits import AtMost
from ponant.api.numbers import PositiveCount

EmbeddingDtype: TypeAlias = Literal["float", "int8", "uint8", "binary", "ubinary"]
EncodingFormat: TypeAlias = Literal["float", "base64"]


TextInput: TypeAlias = Annotated[
    str | list[str] | SkipJsonSchema[list[list[Annotated[int, Field(ge=0)]]]], AtMost("inputs")
]


def _nested(inputs: Any) -> Any:
    """Return a list of token ids as the list of one text."""
    is_one = isinstance(inputs, list) and bool(inputs) and all(type(token) is int for token in inputs)
    return [inputs] if is_one else inputs


def _without_nul(inputs: TextInput) -> TextInput:
    for index, text in enumerate([inputs] if isinstance(inputs, str) else inputs):
        if isinstance(text, str) and "\0" in text:
            raise ValueError(f"text {index} has a NUL character")
    return inputs


class EmbeddingRequest(RequestModel):
    """Body of an embeddings request. The input is one text or several, sent as ``input``, or their token ids.

    ``docs/embeddings.md`` describes the number types other than float. With base64, an embedding is the base64 encoding
    of its numbers in memory; those of float32 are little-endian.
    """

    model: str | None = None
    inputs: Annotated[TextInput, BeforeValidator(_nested), AfterValidator(_without_nul), Field(alias="input")]
    metadata: dict[str, Any] | None = None
    output_dimension: PositiveCount | None = None
    output_dtype: EmbeddingDtype = "float"
    encoding_format: EncodingFormat = "float"


class EmbeddingResponseData(ResponseModel):
    """The embedding of one text: its numbers, or their base64 encoding. ``index`` is its position in the input."""

    object: str = "embedding"
    embedding: list[int] | list[float] | str = Field(default=[])
    index: int = 0


class EmbeddingResponse(ResponseModel):
    """Body of an embeddings response, in the order of the texts."""

    id: str
    object: str
    data: list[EmbeddingResponseData]
    model: str
    usage: UsageInfo
