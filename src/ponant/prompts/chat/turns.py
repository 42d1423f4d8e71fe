"""The turns of a conversation, and their forms for templates that cannot express all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ponant.api.messages import ToolCall
from ponant.prompts.tools.call_formats import TAGGED

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A message with its content as one text, and what was thought before it."""

    role: Role
    text: str
    tool_calls: list[ToolCall] = field(default_factory=list[ToolCall])
    tool_call_id: str | None = None
    name: str | None = None
    thinking: str = ""


def joined_turns(turns: Iterable[Turn]) -> list[Turn]:
    """Neighbours of the same role as one turn, their texts a blank line apart. Tool results stay apart."""
    joined: list[Turn] = []
    for turn in turns:
        if joined and turn.role == joined[-1].role and turn.role != "tool":
            joined[-1] = _join(joined[-1], turn)
        else:
            joined.append(turn)
    return joined


def without_later_system(turns: Iterable[Turn]) -> list[Turn]:
    """All system texts as one turn at the head, for templates that know no other place for them."""
    turns = list(turns)
    system = [turn for turn in turns if turn.role == "system"]
    return joined_turns(system + [turn for turn in turns if turn.role != "system"])


def without_system(turns: Iterable[Turn]) -> list[Turn]:
    """System texts at the head of the first user turn, for templates that know no system role."""
    system, *others = without_later_system(turns)
    if system.role != "system":
        return [system, *others]
    return joined_turns([Turn("user", system.text), *others])


def without_tools(turns: Iterable[Turn]) -> list[Turn]:
    """Tool calls and results as text, for templates that know neither."""
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
    """Each call as a turn of its own, its result right after it, for templates that know no more of them at once."""
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
    """Where a result belongs: after its call among the last ones, or after the first that has none yet."""
    free = [
        index
        for index, turn in enumerate(turns, start=1)
        if turn.tool_calls and (index == len(turns) or turns[index].role != "tool")
    ]
    own = [index for index in free if turns[index - 1].tool_calls[0].id == result.tool_call_id]
    return (own or free or [len(turns)])[0]
