"""Turns of a conversation, and rewrites for templates that cannot express all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ponant.api.messages import ToolCall
from ponant.prompts.tools.call_formats import TAGGED

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A message with its content as one text, and the thinking before it."""

    role: Role
    text: str
    tool_calls: list[ToolCall] = field(default_factory=list[ToolCall])
    tool_call_id: str | None = None
    name: str | None = None
    thinking: str = ""


def joined_turns(turns: Iterable[Turn]) -> list[Turn]:
    """Join adjacent turns of the same role, except tool results, with blank lines between their texts."""
    joined: list[Turn] = []
    for turn in turns:
        if joined and turn.role == joined[-1].role and turn.role != "tool":
            joined[-1] = _join(joined[-1], turn)
        else:
            joined.append(turn)
    return joined


def ending_with_a_question(turns: Sequence[Turn]) -> list[Turn]:
    """Return joined turns that end with a user turn or a tool result, after which all models answer.

    A system turn at the end moves before the user turn that it follows. After any other system or assistant turn at the
    end comes an empty user turn.
    """
    fitted = list(turns)
    if [turn.role for turn in fitted[-2:]] == ["user", "system"]:
        fitted[-2:] = reversed(fitted[-2:])
    elif fitted and fitted[-1].role in ("system", "assistant"):
        fitted.append(Turn("user", ""))
    return joined_turns(fitted)


def beginning_with_a_question(turns: Sequence[Turn]) -> list[Turn]:
    """Put an empty user turn before a first assistant turn, for templates that accept none there."""
    fitted = list(turns)
    first = next((index for index, turn in enumerate(fitted) if turn.role != "system"), 0)
    if fitted and fitted[first].role == "assistant":
        fitted.insert(first, Turn("user", ""))
    return fitted


def without_later_system(turns: Iterable[Turn]) -> list[Turn]:
    """Move all system texts into one turn at the head, for templates that accept none elsewhere."""
    turns = list(turns)
    system = [turn for turn in turns if turn.role == "system"]
    return joined_turns(system + [turn for turn in turns if turn.role != "system"])


def without_system(turns: Iterable[Turn]) -> list[Turn]:
    """Move system texts into the first user turn, for templates without a system role."""
    system, *others = without_later_system(turns)
    if system.role != "system":
        return [system, *others]
    return joined_turns([Turn("user", system.text), *others])


def without_tools(turns: Iterable[Turn]) -> list[Turn]:
    """Write tool calls and results as text, for templates without tools."""
    plain: list[Turn] = []
    for turn in turns:
        if turn.role == "tool":
            plain.append(Turn("user", f"<tool_response>\n{turn.text}\n</tool_response>"))
        elif turn.tool_calls:
            calls = [TAGGED.text(call.function.name, call.function.arguments) for call in turn.tool_calls]
            plain.append(replace(turn, text="\n".join([turn.text, *calls] if turn.text else calls), tool_calls=[]))
        else:
            plain.append(turn)
    return joined_turns(plain)


def one_call_each(turns: Iterable[Turn]) -> list[Turn]:
    """Put each call and its result into turns of their own, for templates with one call per turn."""
    apart: list[Turn] = []
    for turn in turns:
        if turn.tool_calls:
            calls = [replace(turn, tool_calls=[call]) for call in turn.tool_calls]
            apart += [calls[0], *(replace(call, text="", thinking="") for call in calls[1:])]
        elif turn.role == "tool":
            apart.insert(_place_of(turn, apart), turn)
        else:
            apart.append(turn)
    return apart


def _join(first: Turn, second: Turn) -> Turn:
    return replace(
        first,
        text=_paragraphs(first.text, second.text),
        thinking=_paragraphs(first.thinking, second.thinking),
        tool_calls=first.tool_calls + second.tool_calls,
    )


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


def _place_of(result: Turn, turns: Sequence[Turn]) -> int:
    """Return the index for a result: after its call, or after the first call without a result."""
    free = [
        index
        for index, turn in enumerate(turns, start=1)
        if turn.tool_calls and (index == len(turns) or turns[index].role != "tool")
    ]
    own = [index for index in free if turns[index - 1].tool_calls[0].id == result.tool_call_id]
    return (own or free or [len(turns)])[0]
