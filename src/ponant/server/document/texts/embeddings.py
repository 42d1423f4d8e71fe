"""Texts of embeddings."""

from collections.abc import Mapping

from ponant.server.document.examples.embeddings import EMBEDDING_ANSWER, EMBEDDING_MODEL, SENTENCES
from ponant.server.document.texts.field_text import FieldText, SchemaText
from ponant.server.document.texts.sampling import METADATA

EMBEDDING_TEXTS: Mapping[str, SchemaText] = {
    "EmbeddingRequest": SchemaText(
        "A request for the embeddings of texts.",
        {
            "model": FieldText(
                "Id or alias of an embedding model, or the public Mistral name that stands for it. This server also "
                "accepts requests without a model: its first embedding model answers them.",
                EMBEDDING_MODEL,
            ),
            "input": FieldText(
                "A string, or a list of strings. None may be empty or contain a NUL character. Models in GGUF files "
                "also take token ids in place of each string; a server with `strict = true` refuses them.",
                SENTENCES,
            ),
            "metadata": METADATA,
            "output_dimension": FieldText(
                "Number of dimensions to return: the first ones of each vector, rescaled to length 1. At most the "
                "model's own number; more is refused. Null returns all dimensions.",
                64,
            ),
            "output_dtype": FieldText(
                "Type of the numbers: `float` (float32), `int8`, `uint8`, or one bit each as `ubinary` (bytes from 0 "
                "to 255) or `binary` (bytes from -128 to 127).",
                "float",
            ),
            "encoding_format": FieldText(
                "`float` for lists of numbers, `base64` for the base64 encoding of the numbers' bytes (float32 is "
                "little-endian).",
                "float",
            ),
        },
    ),
    "EmbeddingResponse": SchemaText(
        "The embeddings, in the order of the texts.",
        {
            "id": FieldText("Id of the response.", EMBEDDING_ANSWER["id"]),
            "object": FieldText("`list`.", "list"),
            "data": FieldText("The embeddings, one for each text.", EMBEDDING_ANSWER["data"]),
            "model": FieldText("Name of the model, as in the request.", EMBEDDING_MODEL),
            "usage": FieldText(
                "Token counts for all texts, including the tokens that the model adds around each one.",
                EMBEDDING_ANSWER["usage"],
            ),
        },
    ),
    "EmbeddingResponseData": SchemaText(
        "The embedding of one text.",
        {
            "object": FieldText("`embedding`.", "embedding"),
            "embedding": FieldText(
                "The vector, of length 1: a list of numbers, or their base64 encoding.",
                EMBEDDING_ANSWER["data"][0]["embedding"],
            ),
            "index": FieldText("Position of the text in the input, from 0.", 0),
        },
    ),
}
