"""How a chat completion request is spelled for the kind of server that is asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Dialect(StrEnum):
    """The API a server speaks."""

    MISTRAL = "mistral"
    OPENAI = "openai"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; with ``prefix``, the beginning of the answer, which only Mistral's API knows."""

    role: str
    content: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One streamed chat completion.

    Attributes:
        messages: The conversation.
        tokens: The most tokens of each choice.
        temperature: The sampling temperature.
        seed: The sampling seed, or None to send none.
        choices: How many completions are asked for.
        exact: Whether to forbid an end before all tokens are there: `min_tokens` in Mistral's dialect; in OpenAI's
            `ignore_eos`, which llama-server and vLLM understand and OpenAI's own service does not.
        prediction: What the answer is expected to be.
        schema: The JSON schema that the answer must satisfy.
        tools: What the model may call; it may as well answer in text (`tool_choice: auto`).
    """

    messages: tuple[Message, ...]
    tokens: int
    temperature: float = 0.0
    seed: int | None = None
    choices: int = 1
    exact: bool = True
    prediction: str | None = None
    schema: Mapping[str, object] | None = None
    tools: tuple[Mapping[str, object], ...] = ()


def request_body(request: Request, dialect: Dialect, model: str | None) -> bytes:
    """Return the JSON body of a request.

    Args:
        request: What is asked.
        dialect: The API the server speaks. OpenAI's sends usage in a stream only when asked, and Mistral's refuses
            the field that asks.
        model: The model's name, or None to leave the choice to the server.
    """
    body: dict[str, object] = {
        "messages": [message_body(message) for message in request.messages],
        "max_tokens": request.tokens,
        "temperature": request.temperature,
        "stream": True,
    }
    if model is not None:
        body["model"] = model
    if request.choices > 1:
        body["n"] = request.choices
    if request.prediction is not None:
        body["prediction"] = {"type": "content", "content": request.prediction}
    if request.schema is not None:
        named = {"name": "document", "schema": request.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if request.tools:
        body["tools"] = request.tools
        body["tool_choice"] = "auto"
    match dialect:
        case Dialect.MISTRAL:
            if request.seed is not None:
                body["random_seed"] = request.seed
            if request.exact:
                body["min_tokens"] = request.tokens
        case Dialect.OPENAI:
            if request.seed is not None:
                body["seed"] = request.seed
            body["stream_options"] = {"include_usage": True}
            if request.exact:
                body["ignore_eos"] = True
    return json.dumps(body).encode()


def message_body(message: Message) -> dict[str, object]:
    """Return a message as it stands in the body."""
    body: dict[str, object] = {"role": message.role, "content": message.content}
    return {**body, "prefix": True} if message.prefix else body
