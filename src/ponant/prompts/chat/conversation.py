"""Validation of a request's messages, and the turns made of them."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ponant.api.messages import (
    AssistantMessage,
    Message,
    SystemMessage,
    TextChunk,
    ThinkChunk,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from ponant.errors import InvalidRequestError
from ponant.prompts.chat.turns import Turn, ending_with_a_question, joined_turns

_ORDER = "invalid_request_message_order"
_MISTRAL_TOOL_ID = re.compile(r"[a-zA-Z0-9]{9}")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of a conversation, and the forced beginning of the answer (empty for none)."""

    turns: list[Turn]
    prefix: str = ""


def read_conversation(messages: Sequence[Message], *, mistral_tool_ids: bool, any_order: bool = False) -> Conversation:
    """Validate messages and convert them to turns; adjacent turns of the same role are joined.

    Args:
        messages: the messages of a request, at least one.
        mistral_tool_ids: True if tool call ids must be 9 letters or digits, as Mistral's tokenizers require.
        any_order: True if a conversation may begin and end with a message of any role.

    Raises:
        InvalidRequestError: the messages break a rule.
    """
    turns = [_turn(message, f"messages[{index}]") for index, message in enumerate(messages)]
    if not any_order:
        _check_ends(turns, messages[-1])
    _check_prefixes(messages)
    if mistral_tool_ids:
        _check_tool_ids(turns)
    turns = _with_results_checked(turns)
    last = messages[-1]
    if isinstance(last, AssistantMessage) and last.prefix:
        return Conversation(joined_turns(turns[:-1]) or [Turn("user", "")], turns[-1].text)
    return Conversation(ending_with_a_question(joined_turns(turns)))


def _refusal(message: str, *, kind: str = "invalid_request_error") -> InvalidRequestError:
    return InvalidRequestError(message, kind=kind, param="messages")


def _turn(message: Message, where: str) -> Turn:
    text, thinking = _texts(message, where)
    match message:
        case SystemMessage():
            return Turn("system", thinking + text)
        case UserMessage():
            return Turn("user", text)
        case ToolMessage():
            return Turn("tool", text, tool_call_id=message.tool_call_id, name=message.name)
        case AssistantMessage():
            if message.content is None and not message.tool_calls:
                raise _refusal(f"{where}: an assistant message must have content or tool_calls")
            calls = [_with_object(call) for call in message.tool_calls or []]
            return Turn("assistant", text, tool_calls=calls, thinking=thinking)


def _with_object(call: ToolCall) -> ToolCall:
    """Return a call with its arguments parsed, if they are a JSON object as text."""
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


def _texts(message: Message, where: str) -> tuple[str, str]:
    """Return the text and the thinking of a message's content."""
    content = message.content
    if content is None or isinstance(content, str):
        return content or "", ""
    texts: list[str] = []
    thoughts: list[str] = []
    for index, chunk in enumerate(content):
        if isinstance(chunk, TextChunk):
            texts.append(chunk.text)
        elif isinstance(chunk, ThinkChunk) and not isinstance(message, UserMessage | ToolMessage):
            thoughts += [part.text for part in chunk.thinking if isinstance(part, TextChunk)]
        else:
            raise _refusal(
                f"{where}.content[{index}]: the model reads text only and cannot read a chunk of type {chunk.type!r}"
            )
    return "".join(texts), "".join(thoughts)


def _check_ends(turns: Sequence[Turn], last: Message) -> None:
    first = turns[0].role
    if first not in ("system", "user"):
        raise _refusal(f"Expected first role system or user, but got {first}", kind=_ORDER)
    if isinstance(last, SystemMessage) or (isinstance(last, AssistantMessage) and not last.prefix):
        raise _refusal(
            f"Expected last role user or tool (or assistant with prefix true), but got {last.role}", kind=_ORDER
        )


def _check_prefixes(messages: Sequence[Message]) -> None:
    last = messages[-1]
    for index, message in enumerate(messages[:-1]):
        if isinstance(message, AssistantMessage) and message.prefix:
            raise _refusal(f"messages[{index}]: only the last message can have prefix true", kind=_ORDER)
    if isinstance(last, AssistantMessage) and last.prefix and last.tool_calls:
        raise _refusal("An assistant message with prefix true cannot have tool_calls", kind=_ORDER)


def _check_tool_ids(turns: Iterable[Turn]) -> None:
    for turn in turns:
        ids = [call.id for call in turn.tool_calls if call.id != "null"]
        ids += [turn.tool_call_id] if turn.tool_call_id not in (None, "null") else []
        for tool_id in ids:
            if not _MISTRAL_TOOL_ID.fullmatch(tool_id):
                raise _refusal(
                    f"Tool call id was {tool_id!r} but must be a-z, A-Z, 0-9, with a length of 9",
                    kind="invalid_request_tool_call_id",
                )


def _with_results_checked(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with the function's name in each tool result.

    Every call must have one result, right after the calls of its message. A result without an id belongs to the next
    call.
    """
    checked: list[Turn] = []
    calls: list[ToolCall] = []
    for index, turn in enumerate(turns):
        if turn.role == "tool":
            if not calls:
                raise _unexpected_result(turn, turns[index - 1])
            call = _called(turn, calls)
            calls.remove(call)
            turn = replace(turn, name=turn.name or call.function.name)  # noqa: PLW2901
        elif calls:
            raise _missing_results(f"messages[{index}]", calls)
        checked.append(turn)
        calls = calls or list(turn.tool_calls)
    if calls:
        raise _missing_results("the end", calls)
    return checked


def _called(result: Turn, calls: Sequence[ToolCall]) -> ToolCall:
    """Return the call that a result belongs to. Raises InvalidRequestError."""
    if result.tool_call_id is None:
        return calls[0]
    for call in calls:
        if call.id == result.tool_call_id:
            return call
    anonymous = next((call for call in calls if call.id == "null"), None)
    if anonymous:
        return anonymous
    expected = " or ".join(repr(call.id) for call in calls)
    raise _refusal(
        f"Unexpected tool call id {result.tool_call_id!r} in tool results: expected {expected}",
        kind="invalid_request_tool_call_id",
    )


def _unexpected_result(result: Turn, before: Turn) -> InvalidRequestError:
    message = f"Unexpected role 'tool' after role {before.role!r}: a result must follow the call of a tool"
    if before.role == "tool":
        message = f"Not the same number of function calls and responses: {result.tool_call_id!r} is one too many"
    return _refusal(message, kind=_ORDER)


def _missing_results(where: str, calls: Sequence[ToolCall]) -> InvalidRequestError:
    ids = ", ".join(repr(call.id) for call in calls)
    return _refusal(
        f"Not the same number of function calls and responses: no result of {ids} before {where}",
        kind=_ORDER,
    )
