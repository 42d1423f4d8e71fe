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
    """What the parts add to a message.

    The first delta of a call has its id and the name of its function; later ones have the index of the call and more
    of the arguments alone, so that clients may put all strings together.

    Args:
        parts: in their order.
        in_chunks: whether the content is a list of chunks, as it is where there is thinking, and not a text.
        call_id: gives the id of a call by its index.
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
    """Return the message that the parts of an answer make; without text, its content is the empty text.

    Args:
        parts: all parts, in their order.
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
    """Ids for the calls of one completion: the same for the same seed, but others in each turn of a conversation."""

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
