"""The rules that the messages of a request must obey, and their plain form."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ponant.api.messages import AssistantMessage, Message, SystemMessage, TextChunk, ToolCall, ToolMessage, UserMessage
from ponant.prompts.errors import InvalidRequestError

Role = Literal["system", "user", "assistant", "tool"]

_ORDER = "invalid_request_message_order"
_MISTRAL_TOOL_ID = re.compile(r"[a-zA-Z0-9]{9}")


@dataclass(frozen=True, slots=True)
class Turn:
    """A message with its content as one text."""

    role: Role
    text: str
    tool_calls: list[ToolCall] = field(default_factory=list[ToolCall])
    tool_call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said so far, and the forced beginning of the answer (empty for none)."""

    turns: list[Turn]
    prefix: str = ""


def read_conversation(messages: Sequence[Message], *, mistral_tool_ids: bool) -> Conversation:
    """Check the messages and bring them into plain form; neighbours of the same role are joined.

    Args:
        mistral_tool_ids: whether ids of tool calls must be 9 letters or digits, as Mistral's tokenizers have it.

    Raises:
        InvalidRequestError: they break a rule.
    """
    turns = [_turn(message, f"messages[{index}]") for index, message in enumerate(messages)]
    _check_order(turns, messages)
    if mistral_tool_ids:
        _check_tool_ids(turns)
    last = messages[-1]
    if isinstance(last, AssistantMessage):
        return Conversation(_joined(turns[:-1]), turns[-1].text)
    return Conversation(_joined(turns))


def _turn(message: Message, where: str) -> Turn:
    text = _text(message, where)
    match message:
        case SystemMessage():
            return Turn("system", text)
        case UserMessage():
            return Turn("user", text)
        case ToolMessage():
            return Turn("tool", text, tool_call_id=message.tool_call_id, name=message.name)
        case AssistantMessage():
            if message.content is None and not message.tool_calls:
                raise InvalidRequestError(f"{where}: an assistant message must have content or tool_calls")
            return Turn("assistant", text, tool_calls=[_with_object(call) for call in message.tool_calls or []])


def _with_object(call: ToolCall) -> ToolCall:
    """The call with its arguments as an object, where they are the JSON text of one."""
    arguments = call.function.arguments
    if not isinstance(arguments, str):
        return call
    try:
        parsed = json.loads(arguments)
    except (ValueError, RecursionError):
        return call
    if not isinstance(parsed, dict):
        return call
    return call.model_copy(update={"function": call.function.model_copy(update={"arguments": parsed})})


def _text(message: Message, where: str) -> str:
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    texts: list[str] = []
    for index, chunk in enumerate(content):
        if not isinstance(chunk, TextChunk):
            raise InvalidRequestError(
                f"{where}.content[{index}]: the model reads text only and cannot read a chunk of type {chunk.type!r}"
            )
        texts.append(chunk.text)
    return "".join(texts)


def _check_order(turns: Sequence[Turn], messages: Sequence[Message]) -> None:
    first, last = turns[0].role, messages[-1]
    if first not in ("system", "user"):
        raise InvalidRequestError(f"Expected first role system or user, but got {first}", kind=_ORDER)
    if isinstance(last, SystemMessage) or (isinstance(last, AssistantMessage) and not last.prefix):
        raise InvalidRequestError(
            f"Expected last role user or tool (or assistant with prefix true), but got {last.role}", kind=_ORDER
        )
    for index, message in enumerate(messages[:-1]):
        if isinstance(message, AssistantMessage) and message.prefix:
            raise InvalidRequestError(f"messages[{index}]: only the last message can have prefix true", kind=_ORDER)
    if isinstance(last, AssistantMessage) and last.tool_calls:
        raise InvalidRequestError("An assistant message with prefix true cannot have tool_calls", kind=_ORDER)


def _check_tool_ids(turns: Iterable[Turn]) -> None:
    for turn in turns:
        ids = [call.id for call in turn.tool_calls if call.id != "null"]
        ids += [turn.tool_call_id] if turn.tool_call_id is not None else []
        for tool_id in ids:
            if not _MISTRAL_TOOL_ID.fullmatch(tool_id):
                raise InvalidRequestError(
                    f"Tool call id was {tool_id!r} but must be a-z, A-Z, 0-9, with a length of 9",
                    kind="invalid_request_tool_call_id",
                )


def _joined(turns: Iterable[Turn]) -> list[Turn]:
    """Neighbours of the same role as one turn, their texts a blank line apart. Tool results stay apart."""
    joined: list[Turn] = []
    for turn in turns:
        if joined and turn.role == joined[-1].role and turn.role != "tool":
            joined[-1] = _join(joined[-1], turn)
        else:
            joined.append(turn)
    return joined


def _join(first: Turn, second: Turn) -> Turn:
    texts = [text for text in (first.text, second.text) if text]
    return replace(first, text="\n\n".join(texts), tool_calls=first.tool_calls + second.tool_calls)


def without_later_system(turns: Iterable[Turn]) -> list[Turn]:
    """All system texts as one turn at the head, for templates that know no other place for them."""
    turns = list(turns)
    system = [turn for turn in turns if turn.role == "system"]
    return _joined(system + [turn for turn in turns if turn.role != "system"])


def without_system(turns: Iterable[Turn]) -> list[Turn]:
    """System texts at the head of the first user turn, for templates that know no system role."""
    system, *others = without_later_system(turns)
    if system.role != "system":
        return [system, *others]
    return _joined([Turn("user", system.text), *others])


def without_tools(turns: Iterable[Turn]) -> list[Turn]:
    """Tool calls and results as text, for templates that know neither."""
    plain: list[Turn] = []
    for turn in turns:
        if turn.role == "tool":
            plain.append(Turn("user", turn.text))
        elif turn.tool_calls:
            calls = [
                json.dumps({"name": call.function.name, "arguments": call.function.arguments}, ensure_ascii=False)
                for call in turn.tool_calls
            ]
            plain.append(Turn(turn.role, "\n".join([turn.text, *calls] if turn.text else calls)))
        else:
            plain.append(turn)
    return _joined(plain)
