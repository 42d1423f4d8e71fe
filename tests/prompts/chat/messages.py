"""Messages of requests, and conversations read from them."""

from typing import Any

from pydantic import TypeAdapter

from ponant.api.messages import Message
from ponant.prompts.chat.conversation import Conversation, read_conversation
from ponant.prompts.chat.turns import Turn

ORDER = "invalid_request_message_order"
TOOL_ID = "invalid_request_tool_call_id"
OTHER = "invalid_request_error"

MESSAGES: TypeAdapter[list[Message]] = TypeAdapter(list[Message])


def system(content: Any = "S") -> dict[str, Any]:
    return {"role": "system", "content": content}


def user(content: Any = "U") -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = "A", **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def tool(content: Any = "T", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **fields}


def call(name: str = "f", arguments: Any = "{}", tool_id: str = "abcDEF123") -> dict[str, Any]:
    return {"id": tool_id, "function": {"name": name, "arguments": arguments}}


def thinking(*texts: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [text(thought) for thought in texts]}


def read(*messages: dict[str, Any], mistral_tool_ids: bool = False) -> Conversation:
    return read_conversation(MESSAGES.validate_python(list(messages)), mistral_tool_ids=mistral_tool_ids)


def plain(turns: list[Turn]) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in turns]


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


RESULT_IDS = "abcDEF123", "abcDEF124", "abcDEF125"
CALLS = [call("f", tool_id=RESULT_IDS[0]), call("g", tool_id=RESULT_IDS[1])]
CALLED = assistant(None, tool_calls=CALLS)


def result(number: int, content: str = "T", **fields: Any) -> dict[str, Any]:
    """Return the result of a call by its number."""
    return tool(content, tool_call_id=RESULT_IDS[number], **fields)
