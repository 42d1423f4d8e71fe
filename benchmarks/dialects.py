"""How a request of a load is spelled for the kind of server that is asked."""

import json
from enum import StrEnum

from benchmarks.loads import Load


class Dialect(StrEnum):
    """The API a server speaks."""

    MISTRAL = "mistral"
    OPENAI = "openai"


def request_body(load: Load, number: int, dialect: Dialect, model: str | None, exact: bool) -> bytes:
    """Return the JSON body of one request.

    Args:
        load: The load the request belongs to.
        number: The request's number within the load.
        dialect: The API the server speaks. OpenAI's sends usage in a stream only when asked, and Mistral's refuses
            the field that asks.
        model: The model's name, or None to leave the choice to the server.
        exact: Whether to forbid an end before all tokens are there: `min_tokens` in Mistral's dialect; in OpenAI's
            `ignore_eos`, which llama-server and vLLM understand and OpenAI's own service does not.
    """
    body: dict[str, object] = {
        "messages": [{"role": "user", "content": load.prompt(number)}],
        "max_tokens": load.tokens,
        "temperature": load.temperature,
        "stream": True,
    }
    if model is not None:
        body["model"] = model
    match dialect:
        case Dialect.MISTRAL:
            if load.seeded:
                body["random_seed"] = load.request_seed(number)
            if exact:
                body["min_tokens"] = load.tokens
        case Dialect.OPENAI:
            if load.seeded:
                body["seed"] = load.request_seed(number)
            body["stream_options"] = {"include_usage": True}
            if exact:
                body["ignore_eos"] = True
    return json.dumps(body).encode()
