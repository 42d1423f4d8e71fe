"""Chat templates of model files, run in Jinja's sandbox."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError

from ponant.api.messages import FunctionCall, ToolCall
from ponant.prompts.answer.output_format import Thinking
from ponant.prompts.chat.extent import limited
from ponant.prompts.chat.sandbox import Sandbox
from ponant.prompts.chat.turns import (
    Turn,
    beginning_with_a_question,
    one_call_each,
    without_later_system,
    without_system,
    without_tools,
)
from ponant.prompts.tools.call_formats import BARE, LISTED, NAMED, TAGGED, CallFormat

FALLBACK = (
    "{% for message in messages %}"
    "{{ '### ' + message['role'] | capitalize + ':\\n' + message['content'] + '\\n\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}"
)
"""Template for models without one."""

_PROBE = "probe7f3a"
_PROBE_ID = "abcdefgh1"
_LONGEST_PLAIN = 2**14
_LOOP = re.compile(r"\{%[-+]?\s*for\b")
_REPEATING = re.compile(r"\*|\b(?:macro|call|recursive|range)\b|\bloop\s*\(")
_THINKING = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))


class TemplateRefusedError(Exception):
    """The template refuses the messages. The error's message is the template's."""


@dataclass(frozen=True, slots=True)
class _Abilities:
    """Turns that a template can express, as it renders all of their texts, and its format of calls."""

    system: bool
    later_system: bool
    first_assistant: bool
    tools: bool
    several_calls: bool
    calls: CallFormat | None


def always_ends(source: str) -> bool:
    """Return True if a template surely has an end: it has one loop, and nothing else that repeats parts of it."""
    return len(source) <= _LONGEST_PLAIN and len(_LOOP.findall(source)) <= 1 and _REPEATING.search(source) is None


class ChatTemplate:
    """A chat template. Turns that it cannot express are rewritten before they are rendered.

    Attributes:
        thinking: delimiters of the thinking that the template supports; None if it supports none.
        is_quick: True if the time for a conversation is proportional to its length.
    """

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        """Compile the template. Raises jinja2.TemplateError if it is not valid."""
        self._abilities: _Abilities | None = None
        self.is_quick = always_ends(source)
        self._variables = {"bos_token": bos, "eos_token": eos}
        self.thinking = next((Thinking(*texts) for texts in _THINKING if texts[1] in source), None)
        environment = Sandbox({"tojson": _to_json})
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        try:
            self._template = environment.from_string(source)
        except (SyntaxError, RecursionError, MemoryError) as error:  # blocks nested too deeply for Python
            raise TemplateError(str(error)) from None

    def render(self, turns: Sequence[Turn], *, tools: Sequence[Mapping[str, Any]] = (), reasoning: bool = False) -> str:
        """Return the prompt of these turns, up to the beginning of the answer.

        Args:
            turns: the conversation.
            tools: tools to describe, for templates with ``calls``.
            reasoning: True to enable thinking, for models where it is optional.

        Raises:
            TemplateRefusedError: the template refuses the turns.
        """
        plain = list(turns)
        able = self._able
        if not able.tools:
            plain = without_tools(plain)
        elif any(len(turn.tool_calls) > 1 for turn in plain) and not able.several_calls:
            plain = one_call_each(plain)
        if not able.system:
            plain = without_system(plain)
        elif not able.later_system:
            plain = without_later_system(plain)
        if not able.first_assistant:
            plain = beginning_with_a_question(plain)
        return self._render(plain, tools, reasoning=reasoning)

    @property
    def calls(self) -> CallFormat | None:
        """Format in which the template writes calls; None if it is unknown, or the template does not show the tools."""
        return self._able.calls

    def _render(
        self, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]] = (), *, reasoning: bool = False
    ) -> str:
        try:
            with limited(_size_of(turns, tools)):
                return self._template.render(
                    messages=[_as_template_message(turn) for turn in turns],
                    add_generation_prompt=True,
                    tools=list(tools) or None,
                    enable_thinking=reasoning,
                    **self._variables,
                )
        except Exception as error:  # a template is foreign code: any error is a refusal
            raise TemplateRefusedError(str(error)) from None

    def _expresses(self, turns: Sequence[Turn]) -> bool:
        """Return True if the template accepts these turns and renders all of them."""
        try:
            rendered = self._render(turns)
        except TemplateRefusedError:
            return False
        return rendered.count(_PROBE) == len(turns)

    @property
    def _able(self) -> _Abilities:
        """Abilities of the template. No lock is held while it is probed, as it may have no end."""
        if self._abilities is None:
            self._abilities = self._probe()
        return self._abilities

    def _probe(self) -> _Abilities:
        user, answer = Turn("user", _PROBE), Turn("assistant", _PROBE)
        system, result = Turn("system", _PROBE), Turn("tool", _PROBE, tool_call_id=_PROBE_ID, name="name")
        tools = self._expresses([user, Turn("assistant", "", [_call(_PROBE_ID)]), result])
        return _Abilities(
            system=self._expresses([system, user]),
            later_system=self._expresses([user, answer, system, user]),
            first_assistant=self._expresses([answer, user]),
            tools=tools,
            several_calls=self._expresses_several_calls(),
            calls=self._find_call_format() if tools else None,
        )

    def _expresses_several_calls(self) -> bool:
        ids = (_PROBE_ID, _PROBE_ID[::-1])
        results = [Turn("tool", _PROBE, tool_call_id=call_id, name="name") for call_id in ids]
        try:
            written = self._render([Turn("user", _PROBE), Turn("assistant", "", list(map(_call, ids))), *results])
        except TemplateRefusedError:
            return False
        return written.count(_PROBE) == 5

    def _find_call_format(self) -> CallFormat | None:
        user = Turn("user", "text")
        call = ToolCall(id=_PROBE_ID, function=FunctionCall(name=_PROBE, arguments={"key": "value"}))
        result = Turn("tool", "text", tool_call_id=_PROBE_ID, name=_PROBE)
        function = {"name": _PROBE, "description": "text", "parameters": {"type": "object", "properties": {}}}
        try:
            shown = self._render([user], [{"type": "function", "function": function}])
            written = self._render([user, Turn("assistant", "", [call]), result])
        except TemplateRefusedError:
            return None
        return _call_format_of(written) if _PROBE in shown else None


def _call(call_id: str) -> ToolCall:
    return ToolCall(id=call_id, function=FunctionCall(name=_PROBE, arguments={}))


def _call_format_of(written: str) -> CallFormat | None:
    """Return the format of a call in a rendered conversation; None if it is unknown."""
    if "[TOOL_CALLS]" in written:
        if "[ARGS]" in written:
            return NAMED if "[CALL_ID]" in written else replace(NAMED, before_id="")
        return replace(LISTED, open=" [") if "[TOOL_CALLS] [" in written else LISTED
    if re.search(rf'<tool_call>\s*\{{"name": "{_PROBE}", "arguments": \{{', written):
        return TAGGED
    return BARE if re.search(rf'\{{"name": "{_PROBE}", "parameters": \{{', written) else None


def _size_of(turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]]) -> int:
    """Return about the number of characters of a conversation."""
    calls = sum(len(repr(turn.tool_calls)) for turn in turns if turn.tool_calls)
    return sum(len(turn.text) + len(turn.thinking) for turn in turns) + calls + len(repr(tools))


def _as_template_message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in turn.tool_calls
        ]
    if turn.thinking:
        message["reasoning_content"] = turn.thinking
    if turn.role == "tool":
        message |= {"tool_call_id": turn.tool_call_id, "name": turn.name}
    return message


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON as the filter of transformers does, but never escape non-ASCII characters."""
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
