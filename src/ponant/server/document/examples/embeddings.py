"""Examples of embeddings."""

from typing import Any

from ponant.server.document.examples.example import RequestExample

EMBEDDING_MODEL = "mistral-embed"
SENTENCES = ["Embed this sentence.", "As well as this one."]

EMBEDDING_REQUESTS = (
    RequestExample("one", "One text", "One vector.", {"model": EMBEDDING_MODEL, "input": SENTENCES[0]}),
    RequestExample(
        "batch", "Several texts", "One vector for each text, in their order.",
        {"model": EMBEDDING_MODEL, "input": SENTENCES},
    ),
    RequestExample(
        "base64", "Base64", "Each vector is the base64 encoding of its numbers: float32, little-endian.",
        {"model": EMBEDDING_MODEL, "input": SENTENCES, "encoding_format": "base64"},
    ),
    RequestExample(
        "fewer-dimensions", "Fewer dimensions", "The first 64 numbers of each vector, rescaled to length 1.",
        {"model": EMBEDDING_MODEL, "input": SENTENCES, "output_dimension": 64},
    ),
)  # fmt: skip
EMBEDDING_ANSWER: dict[str, Any] = {
    "id": "embd-aad6fc62b17349b192ef09225058bc45",
    "object": "list",
    "data": [
        {"object": "embedding", "embedding": [0.0412, -0.0298, 0.0157], "index": 0},
        {"object": "embedding", "embedding": [0.0367, -0.0311, 0.0204], "index": 1},
    ],
    "model": EMBEDDING_MODEL,
    "usage": {"prompt_tokens": 15, "completion_tokens": 0, "total_tokens": 15},
}
