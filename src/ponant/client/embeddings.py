"""``embeddings``: texts as vectors."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from typing_extensions import Unpack

from ponant.api.embeddings import EmbeddingDtype, EmbeddingResponse, EncodingFormat
from ponant.client.call import Call, OptionParameters, Options, fields
from ponant.client.lenient import reader
from ponant.client.resource import Resource, answered, answered_async
from ponant.client.unset import UNSET, OptionalNullable

EmbeddingRequestInputs: TypeAlias = str | list[str]

_PATH = "/v1/embeddings"


class Embeddings(Resource):
    """Embeddings of texts."""

    def _create(
        self,
        *,
        model: str,
        inputs: EmbeddingRequestInputs,
        metadata: OptionalNullable[Mapping[str, Any]] = UNSET,
        output_dimension: OptionalNullable[int] = UNSET,
        output_dtype: EmbeddingDtype | None = None,
        encoding_format: EncodingFormat | None = None,
        **options: Unpack[OptionParameters],
    ) -> Call[EmbeddingResponse]:
        """Turn texts into vectors.

        Parameters that are UNSET are left to the server.

        Args:
            model: Name of the model.
            inputs: A text, or several. None of them may be empty or longer than the model can take.
            metadata: Anything; for the server's own use.
            output_dimension: How many numbers each vector has; no more than the model's own.
            output_dtype: Type of the numbers: float, int8, uint8, or single bits, eight to a number, of which binary
                makes signed and ubinary unsigned numbers.
            encoding_format: Whether vectors come as lists of numbers (float) or as the base64 of their bytes.

        Raises:
            HTTPValidationError: The server refused a field (422).
            SDKError: The server refused the request or failed (other 4XX and 5XX).
            ResponseValidationError: The response does not have the form of the API.
        """
        body = fields(
            nullable={"metadata": metadata, "output_dimension": output_dimension},
            optional={
                "model": model,
                "input": inputs,
                "output_dtype": output_dtype,
                "encoding_format": encoding_format,
            },
        )
        return Call("POST", _PATH, reader(EmbeddingResponse), Options(**options), body)

    create = answered(_create)
    create_async = answered_async(_create)
