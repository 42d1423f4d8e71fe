"""OpenAI's messages, translated to the Mistral API."""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from ponant.server.dialects.table import (
    KEPT,
    Fields,
    RefusedFieldError,
    Rule,
    Table,
    ignored,
    refused,
    translated,
)

_ID_LENGTH = 9
_MISTRAL_ID = re.compile(rf"[a-zA-Z0-9]{{{_ID_LENGTH}}}")


def call_id(sent: Any) -> Any:
    """Return a call id in the format of Mistral's tokenizers: 9 letters or digits, which depend only on the sent id."""
    if not isinstance(sent, str) or _MISTRAL_ID.fullmatch(sent):
        return sent
    digest = hashlib.blake2b(sent.encode("utf-8", "replace"), digest_size=20).digest()
    return base64.b32encode(digest).decode()[:_ID_LENGTH].lower()


def text_of_parts(content: Any) -> Any:
    """Return the concatenation of content that consists of text parts; any other content unchanged."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content]
    return "".join(texts) if all(isinstance(text, str) for text in texts) else content  # type: ignore[arg-type]


def _content(content: Any) -> Fields:
    """Translate content: parts become chunks, without their cache marks, which do not change the answer."""
    if not isinstance(content, list):
        return {"content": content}
    return {"content": [_chunk(part, index) for index, part in enumerate(content)]}


def _chunk(part: Any, index: int) -> Any:
    match part:
        case {"type": "text"}:
            return {name: value for name, value in part.items() if name != "prompt_cache_breakpoint"}
        case {"type": "refusal", "refusal": text}:
            return {"type": "text", "text": text}
        case {"type": ("input_audio" | "file" | "audio" | "video_url") as kind}:
            raise RefusedFieldError(f"the model reads text only and cannot read a part of type {kind!r}", index)
        case _:
            return part


def _tool_calls(calls: Any) -> Fields:
    if not isinstance(calls, list):
        return {"tool_calls": calls}
    return {"tool_calls": [_call(call, index) for index, call in enumerate(calls)]} if calls else {}


def _call(call: Any, index: int) -> Any:
    if not isinstance(call, dict):
        return call
    if call.get("type") == "custom":
        raise RefusedFieldError("calls of custom tools are not supported", index)
    known = {name: value for name, value in call.items() if value is not None}
    if "id" in known:
        known["id"] = call_id(known["id"])
    if isinstance(known.get("function"), dict):
        known["function"] = {
            name: value for name, value in known["function"].items() if name != "parsed_arguments" and value is not None
        }
    return known


_NAME = Rule("put before the text if messages of this role have several names", KEPT.translate)
_CONTENT = translated(_content, "kept; parts of text are chunks")

MESSAGES: dict[str, Table] = {
    "system": Table({"role": KEPT, "content": _CONTENT, "name": _NAME}),
    "developer": Table(
        {"role": Rule("renamed to `system`", lambda _, __: {"role": "system"}), "content": _CONTENT, "name": _NAME}
    ),
    "user": Table(
        {
            "role": KEPT,
            "content": translated(_content, "kept; parts of text are chunks, sound and files are refused"),
            "name": _NAME,
        }
    ),
    "assistant": Table(
        {
            "role": KEPT,
            "content": translated(_content, "kept; parts of text and refusals are chunks"),
            "refusal": Rule("the content, if there is none", KEPT.translate),
            "reasoning_content": Rule("a chunk of thinking before the content", KEPT.translate),
            "tool_calls": translated(_tool_calls, "kept; ids become 9 letters or digits, custom tools are refused"),
            "function_call": Rule("the only one of `tool_calls`", KEPT.translate),
            "annotations": ignored("the text they belong to is there"),
            "parsed": ignored("it is the content, parsed"),
            "audio": refused("audio is not supported"),
            "name": _NAME,
            "prefix": Rule("kept (Mistral's)", KEPT.translate),
        }
    ),
    "tool": Table(
        {
            "role": KEPT,
            "content": _CONTENT,
            "tool_call_id": translated(
                lambda sent: {"tool_call_id": call_id(sent)}, "kept; becomes 9 letters or digits as in the call"
            ),
            "name": Rule("kept (Mistral's)", KEPT.translate),
        }
    ),
    "function": Table(
        {
            "role": Rule("renamed to `tool`, the result of the last `function_call`", lambda _, __: {"role": "tool"}),
            "content": _CONTENT,
            "name": KEPT,
        }
    ),
}
"""Tables of the fields of messages, by role."""


def read_messages(messages: Any) -> Fields:
    """Translate the field ``messages``. Values that are not lists of messages are passed on, to be refused later."""
    if not isinstance(messages, list):
        return {"messages": messages}
    named = {role for role in MESSAGES if role not in ("tool", "function") and len(_names(messages, role)) > 1}
    read: list[Any] = []
    last_call = ""
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(role := message.get("role"), str) or role not in MESSAGES:
            read.append(message)
            continue
        try:
            fields = MESSAGES[role].read(message).fields
        except RefusedFieldError as error:
            raise error.within(index) from None
        if role == "assistant":
            if "function_call" in fields:
                last_call = f"{index:0{_ID_LENGTH}d}"
            fields = _assistant(fields, last_call)
        elif role == "function":
            fields = {"content": "", "tool_call_id": last_call} | fields
        if role not in ("tool", "function"):
            name = fields.pop("name", None)
            if role in named and isinstance(name, str):
                fields["content"] = _after(f"{name}: ", fields.get("content"))
        read.append(fields)
    return {"messages": read}


def _names(messages: list[Any], role: str) -> set[str]:
    sent = (message.get("name") for message in messages if isinstance(message, dict) and message.get("role") == role)
    return {name for name in sent if isinstance(name, str)}


def _after(text: str, content: Any) -> Any:
    if isinstance(content, str):
        return text + content
    return [{"type": "text", "text": text}, *content] if isinstance(content, list) else content


def _assistant(fields: Mapping[str, Any], function_id: str) -> Fields:
    message = dict(fields)
    refusal = message.pop("refusal", None)
    if refusal is not None and not message.get("content"):
        message["content"] = refusal
    if call := message.pop("function_call", None):
        message["tool_calls"] = [{"id": function_id, "type": "function", "function": call}]
    if thought := message.pop("reasoning_content", None):
        content = message.get("content") or []
        chunks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        message["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": thought}]}, *chunks]
    return message
