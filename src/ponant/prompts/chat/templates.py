"""The chat template that a model brings along: Jinja, run in Jinja's sandbox."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ponant.api.messages import FunctionCall, ToolCall
from ponant.prompts.answer.output_format import Thinking
from ponant.prompts.chat.turns import Turn, one_call_each, without_later_system, without_system, without_tools
from ponant.prompts.tools.call_formats import BARE, LISTED, NAMED, TAGGED, CallFormat

FALLBACK = (
    "{% for message in messages %}"
    "{{ '### ' + message['role'] | capitalize + ':\\n' + message['content'] + '\\n\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}"
)
"""For models that bring no template."""

_PROBE = "probe7f3a"
_PROBE_ID = "abcdefgh1"
_THINKING = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))


class TemplateRefusedError(Exception):
    """The template does not accept the messages. The message is the template's own."""


class ChatTemplate:
    """Renders turns, after bringing them into a form that the template can express."""

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        """Raises jinja2.TemplateError if the source is no template."""
        self._source = source
        self._variables = {"bos_token": bos, "eos_token": eos}
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = _strftime_now
        try:
            self._template = environment.from_string(source)
        except (SyntaxError, RecursionError, MemoryError) as error:  # blocks nested deeper than Python can have them
            raise TemplateError(str(error)) from None

    def render(self, turns: Sequence[Turn], *, tools: Sequence[Mapping[str, Any]] = (), reasoning: bool = False) -> str:
        """The prompt for these turns, up to where the assistant is to speak.

        Args:
            turns: the conversation.
            tools: those that the model may use, for templates whose ``calls`` are known.
            reasoning: whether models that can think before they answer, or not, are to do so.

        Raises:
            TemplateRefusedError: the template refuses them.
        """
        plain = list(turns)
        if not self._supports_tools:
            plain = without_tools(plain)
        elif any(len(turn.tool_calls) > 1 for turn in plain) and not self._supports_several_calls:
            plain = one_call_each(plain)
        if not self._supports_system:
            plain = without_system(plain)
        elif not self._supports_later_system:
            plain = without_later_system(plain)
        return self._render(plain, tools, reasoning=reasoning)

    @cached_property
    def thinking(self) -> Thinking | None:
        """What stands around the thinking of models that think before they answer; None for those that do not."""
        return next((Thinking(*texts) for texts in _THINKING if texts[1] in self._source), None)

    @cached_property
    def calls(self) -> CallFormat | None:
        """The form in which the template writes calls; None if it does not show tools to the model, or has no form."""
        if not self._supports_tools:
            return None
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

    def _render(
        self, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]] = (), *, reasoning: bool = False
    ) -> str:
        try:
            return self._template.render(
                messages=[_as_template_message(turn) for turn in turns],
                add_generation_prompt=True,
                tools=list(tools) or None,
                enable_thinking=reasoning,
                **self._variables,
            )
        except Exception as error:  # a template is foreign code: all that goes wrong in it is its refusal
            raise TemplateRefusedError(str(error)) from None

    def _expresses(self, turns: Sequence[Turn]) -> bool:
        """Whether the template accepts these turns and leaves none out."""
        try:
            rendered = self._render(turns)
        except TemplateRefusedError:
            return False
        return rendered.count(_PROBE) == len(turns)

    @cached_property
    def _supports_system(self) -> bool:
        return self._expresses([Turn("system", _PROBE), Turn("user", _PROBE)])

    @cached_property
    def _supports_later_system(self) -> bool:
        return self._expresses(
            [Turn("user", _PROBE), Turn("assistant", _PROBE), Turn("system", _PROBE), Turn("user", _PROBE)]
        )

    @cached_property
    def _supports_tools(self) -> bool:
        call = ToolCall(id=_PROBE_ID, function=FunctionCall(name=_PROBE, arguments={}))
        result = Turn("tool", _PROBE, tool_call_id=_PROBE_ID, name="name")
        return self._expresses([Turn("user", _PROBE), Turn("assistant", "", [call]), result])

    @cached_property
    def _supports_several_calls(self) -> bool:
        ids = (_PROBE_ID, _PROBE_ID[::-1])
        calls = [ToolCall(id=call_id, function=FunctionCall(name=_PROBE, arguments={})) for call_id in ids]
        results = [Turn("tool", _PROBE, tool_call_id=call_id, name="name") for call_id in ids]
        try:
            written = self._render([Turn("user", _PROBE), Turn("assistant", "", calls), *results])
        except TemplateRefusedError:
            return False
        return written.count(_PROBE) == 5


def _call_format_of(written: str) -> CallFormat | None:
    """The form of a call in a rendered conversation."""
    if "[TOOL_CALLS]" in written:
        if "[ARGS]" in written:
            return NAMED if "[CALL_ID]" in written else replace(NAMED, before_id="")
        return replace(LISTED, open=" [") if "[TOOL_CALLS] [" in written else LISTED
    if re.search(rf'<tool_call>\s*\{{"name": "{_PROBE}", "arguments": \{{', written):
        return TAGGED
    return BARE if re.search(rf'\{{"name": "{_PROBE}", "parameters": \{{', written) else None


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
    """The filter as templates know it from transformers, but that characters always stay as they are."""
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
