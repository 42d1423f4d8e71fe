"""The chat template that a model brings along: Jinja, run in Jinja's sandbox."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ponant.api.messages import FunctionCall, ToolCall
from ponant.prompts.conversation import Turn, without_later_system, without_system, without_tools

FALLBACK = (
    "{% for message in messages %}"
    "{{ '### ' + message['role'] | capitalize + ':\\n' + message['content'] + '\\n\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}"
)
"""For models that bring no template."""

_PROBE = "probe7f3a"


class TemplateRefusedError(Exception):
    """The template does not accept the messages. The message is the template's own."""


class ChatTemplate:
    """Renders turns, after bringing them into a form that the template can express."""

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        """Raises jinja2.TemplateError if the source is no template."""
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

    def render(self, turns: Sequence[Turn]) -> str:
        """The prompt for these turns, up to where the assistant is to speak.

        Raises:
            TemplateRefusedError: the template refuses them.
        """
        plain = list(turns)
        if not self._knows_tools:
            plain = without_tools(plain)
        if not self._knows_system:
            plain = without_system(plain)
        elif not self._knows_later_system:
            plain = without_later_system(plain)
        return self._render(plain)

    def _render(self, turns: Sequence[Turn]) -> str:
        try:
            return self._template.render(
                messages=[_as_template_message(turn) for turn in turns],
                add_generation_prompt=True,
                tools=None,
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
    def _knows_system(self) -> bool:
        return self._expresses([Turn("system", _PROBE), Turn("user", _PROBE)])

    @cached_property
    def _knows_later_system(self) -> bool:
        return self._expresses(
            [Turn("user", _PROBE), Turn("assistant", _PROBE), Turn("system", _PROBE), Turn("user", _PROBE)]
        )

    @cached_property
    def _knows_tools(self) -> bool:
        call = ToolCall(id="abcdefgh1", function=FunctionCall(name=_PROBE, arguments={}))
        result = Turn("tool", _PROBE, tool_call_id="abcdefgh1", name="name")
        return self._expresses([Turn("user", _PROBE), Turn("assistant", "", [call]), result])


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
