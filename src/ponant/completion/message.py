"""From the parts of an answer to what a stream's chunk adds to a message, and from those to the whole message."""

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
    text = "".join(part.text for part in parts if isinstance(part, Text))
    content: str | list[ContentChunk] = text
    if in_chunks and (chunks := _chunks("".join(part.text for part in parts if isinstance(part, Thought)), text)):
        content = chunks
    calls = _calls(parts, call_id)
    return DeltaMessage(content=content, tool_calls=calls) if calls else DeltaMessage(content=content)


def whole_message(deltas: Iterable[DeltaMessage]) -> AssistantMessage:
    """The message that the deltas of a stream add up to; without text, its content is the empty text."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: dict[int, ToolCall] = {}
    in_chunks = False
    for delta in deltas:
        in_chunks = in_chunks or isinstance(delta.content, list)
        for chunk in [TextChunk(text=delta.content)] if isinstance(delta.content, str) else delta.content or []:
            if isinstance(chunk, TextChunk):
                texts.append(chunk.text)
            elif isinstance(chunk, ThinkChunk):
                thoughts += [part.text for part in chunk.thinking if isinstance(part, TextChunk)]
        for call in delta.tool_calls or []:
            if call.index in calls:
                arguments = f"{calls[call.index].function.arguments}{call.function.arguments}"
                call = calls[call.index].model_copy(  # noqa: PLW2901
                    update={"function": FunctionCall(name=calls[call.index].function.name, arguments=arguments)}
                )
            calls[call.index] = call
    text = "".join(texts)
    content: str | list[ContentChunk] = _chunks("".join(thoughts), text) if in_chunks else text
    return AssistantMessage(role="assistant", content=content, tool_calls=list(calls.values()) or None)


def call_ids(seed: int, prompt_length: int) -> Callable[[int], str]:
    """Ids for the calls of one completion: the same for the same seed, but others in each turn of a conversation."""

    def call_id(index: int) -> str:
        digest = hashlib.blake2b(f"{seed}/{prompt_length}/{index}".encode(), digest_size=20).digest()
        return base64.b32encode(digest).decode()[:_ID_LENGTH].lower()

    return call_id


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
