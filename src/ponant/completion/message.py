"""Messages, whole and in deltas, made of the parts of an answer."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence

from ponant.api.chat import DeltaMessage
from ponant.api.messages import (
    AssistantMessage,
    ContentChunk,
    FunctionCall,
    TextChunk,
    ThinkChunk,
    ToolCall,
)
from ponant.completion.parts import Arguments, CallBegun, Part, Text, Thought

_ID_LENGTH = 9


def delta_message(parts: Sequence[Part], *, in_chunks: bool, call_id: Callable[[int], str]) -> DeltaMessage:
    """Return the delta that parts add to a message.

    The first delta of a call has its id and the name of its function. Later ones have only the index of the call and a
    piece of the arguments, so that clients can concatenate all strings.

    Args:
        parts: the parts, in order.
        in_chunks: True if the content is a list of chunks, as it is with thinking; else it is a text.
        call_id: returns the id of a call by its index.
    """
    thought, text = _thought(parts), _text(parts)
    content: str | list[ContentChunk] = text
    if in_chunks and (thought or text):
        content = _chunks(thought, text)
    calls = _calls(parts, call_id)
    return DeltaMessage(content=content, tool_calls=calls) if calls else DeltaMessage(content=content)


def whole_message(
    parts: Sequence[Part], *, prefix: str, in_chunks: bool, call_id: Callable[[int], str]
) -> AssistantMessage:
    """Return the message of an answer. Without text, its content is the empty string.

    Args:
        parts: all parts, in order.
        prefix: forced beginning of the text.
        in_chunks: as for ``delta_message``.
        call_id: as for ``delta_message``.
    """
    thought, text = _thought(parts), _text(parts)
    content: str | list[ContentChunk] = prefix + text
    if in_chunks and (thought or text):
        content = _chunks(thought, prefix + text)
    return AssistantMessage(role="assistant", content=content, tool_calls=_calls(parts, call_id) or None)


def call_ids(seed: int, prompt_length: int) -> Callable[[int], str]:
    """Return the id function of a choice's calls. Ids depend on the seed, and differ between the turns of a chat."""

    def call_id(index: int) -> str:
        digest = hashlib.blake2b(f"{seed}/{prompt_length}/{index}".encode(), digest_size=20).digest()
        return base64.b32encode(digest).decode()[:_ID_LENGTH].lower()

    return call_id


def _thought(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Thought))


def _text(parts: Iterable[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def _chunks(thought: str, text: str) -> list[ContentChunk]:
    chunks: list[ContentChunk] = []
    if thought:
        chunks.append(ThinkChunk(type="thinking", thinking=[TextChunk(type="text", text=thought)]))
    if text:
        chunks.append(TextChunk(type="text", text=text))
    return chunks


def _calls(parts: Iterable[Part], call_id: Callable[[int], str]) -> list[ToolCall]:
    calls: dict[int, ToolCall] = {}
    for part in parts:
        match part:
            case CallBegun(index, name):
                function = FunctionCall(name=name, arguments="")
                calls[index] = ToolCall(id=call_id(index), type="function", function=function, index=index)
            case Arguments(index, text):
                call = calls.get(index) or ToolCall(function=FunctionCall(name="", arguments=""), index=index)
                call.function.arguments = f"{call.function.arguments}{text}"
                calls[index] = call
            case _:
                pass
    return list(calls.values())
