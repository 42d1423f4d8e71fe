"""Embeddings of texts."""

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
        """Embed texts as vectors.

        The server's defaults apply to parameters that are UNSET or None.

        Args:
            model: Name of the model.
            inputs: Text, or list of texts. None may be empty, or longer than the model's context.
            metadata: Arbitrary object for the server.
            output_dimension: Number of dimensions of the vectors, at most the model's.
            output_dtype: Type of the numbers: float, int8, uint8, binary or ubinary. The last two pack eight dimensions
                of one bit into a signed or an unsigned byte.
            encoding_format: Encoding of the vectors: float for lists of numbers, base64 for their bytes.

        Returns:
            The response, with one vector per text, in their order.

        Raises:
            HTTPValidationError: The server refused a field (422).
            SDKError: The server refused the request or failed (other 4XX and 5XX).
            ResponseValidationError: The response does not have the format of the API.
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
