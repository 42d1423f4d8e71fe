"""Examples of NIM's chat completions."""

from typing import Any

from ponant.server.dialects.nim import DEFAULTS
from ponant.server.document.examples.chat import ANSWER, COMPLETION_ID, CREATED, MESSAGES, QUESTION
from ponant.server.document.examples.example import RequestExample

MODEL = str(DEFAULTS["model"])
FINGERPRINT = "fp_3f2a9c1d7b"
_CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Answer in one short sentence."},
    {"role": "user", "content": QUESTION},
]

REQUESTS = (
    RequestExample(
        "plain",
        "A question",
        "All fields, with values near their defaults.",
        {
            "model": MODEL,
            "max_tokens": 128,
            "stream": False,
            "temperature": 0.3,
            "top_p": 1,
            "stop": None,
            "frequency_penalty": 0,
            "presence_penalty": 0,
            "seed": 0,
            "messages": MESSAGES,
        },
    ),
    RequestExample(
        "streamed",
        "A streamed answer",
        "Tokens are sent as server-sent events while they are generated.",
        {"max_tokens": 128, "stream": True, "messages": MESSAGES},
    ),
    RequestExample(
        "conversation",
        "A conversation with instructions",
        "The first message has instructions for the model.",
        {"max_tokens": 128, "stop": ["\n\n"], "messages": _CONVERSATION},
    ),
)

MESSAGE: dict[str, Any] = {"role": "assistant", "content": ANSWER, "refusal": None}
CHOICE: dict[str, Any] = {"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}
USAGE: dict[str, Any] = {
    "prompt_tokens": 16,
    "completion_tokens": 34,
    "total_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 0},
}
PIECE: dict[str, Any] = {"index": 0, "delta": {"content": "Claude"}, "logprobs": None, "finish_reason": None}


def _answer(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": COMPLETION_ID,
        "object": kind,
        "created": CREATED,
        "model": MODEL,
        "system_fingerprint": FINGERPRINT,
        "choices": [choice],
    }


COMPLETION = _answer("chat.completion", CHOICE) | {"usage": USAGE}
CHUNK = _answer("chat.completion.chunk", PIECE)
LAST_CHUNK = _answer("chat.completion.chunk", PIECE | {"delta": {}, "finish_reason": "stop"})
