"""Examples of chat completions and of code to fill in."""

from typing import Any

from ponant.server.document.examples.example import RequestExample

CHAT_MODEL = "mistral-small-latest"
CODE_MODEL = "codestral-latest"
QUESTION = "Who is the best French painter? Answer in one short sentence."
ANSWER = (
    "Claude Monet is often considered one of the best French painters due to his significant role in the "
    "Impressionist movement."
)
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
COMPLETION_ID = "cmpl-e5cc70bb28c444948073e77776eb30ef"
CREATED = 1702256327

PAINTER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "born": {"type": "integer", "minimum": 1000, "maximum": 2100},
    },
    "required": ["name", "born"],
    "additionalProperties": False,
}
JSON_SCHEMA_FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "painter", "schema": PAINTER_SCHEMA, "strict": True},
}
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Name of the city."}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION: dict[str, Any] = {
    "name": "get_weather",
    "description": "Return the weather in a city now.",
    "parameters": PARAMETERS,
}
TOOL: dict[str, Any] = {"type": "function", "function": FUNCTION}
CALL_ID = "D681PevKs"
CALL: dict[str, Any] = {
    "id": CALL_ID,
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
    "index": 0,
}
RESULT = '{"sky": "clear", "degrees": 21}'
PREDICTED = "def area(radius):\n    return 3.14 * radius ** 2\n"

_WEATHER: list[dict[str, Any]] = [{"role": "user", "content": "What is the weather in Paris?"}]

CHAT_REQUESTS = (
    RequestExample(
        "plain",
        "A question",
        "All fields of the reference's example, nulls included. Null means the default.",
        {
            "model": CHAT_MODEL,
            "messages": MESSAGES,
            "temperature": 0.7,
            "top_p": 1,
            "max_tokens": None,
            "stream": False,
            "safe_prompt": False,
            "random_seed": None,
        },
    ),
    RequestExample(
        "streamed",
        "A streamed answer",
        "Tokens are sent as server-sent events while they are generated.",
        {"model": CHAT_MODEL, "messages": MESSAGES, "max_tokens": 64, "stream": True},
    ),
    RequestExample(
        "json-schema",
        "JSON that satisfies a schema",
        "The answer is always valid by the schema.",
        {
            "model": CHAT_MODEL,
            "messages": [{"role": "user", "content": "Name a French painter with the year of birth."}],
            "max_tokens": 100,
            "response_format": JSON_SCHEMA_FORMAT,
        },
    ),
    RequestExample(
        "tools",
        "Tools",
        "The model may call the function. Your program executes the call and sends its result in the next request.",
        {"model": CHAT_MODEL, "messages": _WEATHER, "max_tokens": 100, "tools": [TOOL], "tool_choice": "auto"},
    ),
    RequestExample(
        "tool-result",
        "A tool's result",
        "The result follows the message with the call, and repeats the id of the call.",
        {
            "model": CHAT_MODEL,
            "messages": [
                *_WEATHER,
                {"role": "assistant", "content": "", "tool_calls": [CALL]},
                {"role": "tool", "name": "get_weather", "tool_call_id": CALL_ID, "content": RESULT},
            ],
            "max_tokens": 100,
            "tools": [TOOL],
        },
    ),
    RequestExample(
        "prefix",
        "A given beginning",
        "The last message has the beginning of the answer, which the model continues.",
        {
            "model": CHAT_MODEL,
            "messages": [
                {"role": "user", "content": "Write a haiku about the sea."},
                {"role": "assistant", "content": "Blue waves", "prefix": True},
            ],
            "max_tokens": 64,
        },
    ),
    RequestExample(
        "prediction",
        "A predicted answer",
        "Parts of the prediction that are right are generated faster; the answer stays the same.",
        {
            "model": CHAT_MODEL,
            "messages": [{"role": "user", "content": f"Rename radius to r in this code:\n\n{PREDICTED}"}],
            "max_tokens": 64,
            "prediction": {"type": "content", "content": PREDICTED},
        },
    ),
    RequestExample(
        "reasoning",
        "Reasoning",
        "The content of the answer is a list: the thinking, then the text.",
        {
            "model": CHAT_MODEL,
            "messages": [{"role": "user", "content": "A farmer has 3 dogs. How many legs do they have?"}],
            "max_tokens": 200,
            "prompt_mode": "reasoning",
        },
    ),
)

FIM_REQUESTS = (
    RequestExample(
        "code",
        "Code between two parts",
        "The model writes the body of the function.",
        {
            "model": CODE_MODEL,
            "prompt": "def fibonacci(n: int) -> int:\n",
            "suffix": "\nprint(fibonacci(10))\n",
            "max_tokens": 64,
            "temperature": 0,
        },
    ),
)


def _completion(model: str, message: dict[str, Any], finish: str, tokens: tuple[int, int]) -> dict[str, Any]:
    prompt, completion = tokens
    return {
        "id": COMPLETION_ID,
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }


def _chunk(model: str, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": COMPLETION_ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


THINKING: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Each dog has 4 legs, so 3 * 4 = 12."}]},
    {"type": "text", "text": "They have 12 legs."},
]
CHAT_ANSWERS: dict[str, Any] = {
    "plain": _completion(CHAT_MODEL, {"content": ANSWER}, "stop", (16, 34)),
    "tools": _completion(CHAT_MODEL, {"content": "", "tool_calls": [CALL]}, "tool_calls", (81, 23)),
    "reasoning": _completion(CHAT_MODEL, {"content": THINKING}, "stop", (25, 31)),
}
CHAT_ANSWER: dict[str, Any] = CHAT_ANSWERS["plain"]
FIM_ANSWER = _completion(
    CODE_MODEL,
    {"content": "    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)\n"},
    "stop",
    (21, 25),
)
CHUNK = _chunk(CHAT_MODEL, {"content": "Claude"})
LAST_CHUNK = _chunk(CHAT_MODEL, {"content": ""}, "stop") | {"usage": CHAT_ANSWER["usage"]}
FIM_CHUNK = _chunk(CODE_MODEL, {"content": "    return"})
LAST_FIM_CHUNK = _chunk(CODE_MODEL, {"content": ""}, "stop") | {"usage": FIM_ANSWER["usage"]}
