"""The forms in which models write calls of functions, each with its grammar."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ponant.api.chat import Function
from ponant.prompts.json_schema.rules import json_rules

MOST_CALLS = 32
"""The most calls of one answer."""

TerminalWriter = Callable[[str], str]
"""How a grammar names a text that may be a control token: as that token where there is one, else as its characters."""

_CALL_ID = "/[a-zA-Z0-9]{9}/"
SPACE = r"[ \t\r\n]{0,8}"
"""An expression for the white space that calls may have in them where their form's tags are left out."""
FENCE = ("`", "`", "`", "[a-zA-Z_]{0,16}")
"""Expressions for what opens a Markdown fence, its marks and the name of a language, one after the other."""
OPEN_FENCE = f"(?:{''.join(FENCE)}{SPACE})?"
"""An expression for it, if there is one."""


@dataclass(frozen=True, slots=True)
class JsonCalls:
    """Calls are JSON objects, each with the name of a function and its arguments.

    ``trigger`` is what calls begin with, a control token or text; without one, an answer is text or calls as a whole.
    ``open`` follows it, ``between`` stands between two calls, ``close`` at the end. ``arguments`` is the key of the
    arguments. ``has_ids``: each call may have an ``id`` after its arguments.
    """

    trigger: str = ""
    open: str = ""
    between: str = ""
    close: str = ""
    arguments: str = "arguments"
    has_ids: bool = False

    @property
    def controls(self) -> tuple[str, ...]:
        """What of this form are control tokens in some vocabularies."""
        return tuple(text for text in (self.trigger, self.close.strip()) if len(text) > 1)

    def rules(self, functions: Sequence[Function], *, parallel: bool, terminal: TerminalWriter) -> str:
        """A grammar for what follows the trigger: the rule ``calls`` and those that it needs beside ``arguments``."""
        calls = " | ".join(self._call(function, index) for index, function in enumerate(functions))
        more = f"(between call){{0,{MOST_CALLS - 1}}}" if parallel else ""
        return "\n".join(
            [
                f"calls: {self._terminals(self.open, terminal)} call {more} {self._terminals(self.close, terminal)}",
                f"between: {self._terminals(self.between, terminal)}",
                f"call: {calls}",
            ]
        )

    def text(self, name: str, arguments: object) -> str:
        """A call as text, as an answer has it that makes no other."""
        call = json.dumps({"name": name, self.arguments: arguments}, ensure_ascii=False)
        return f"{self.trigger}{self.open}{call}{self.close}"

    def _call(self, function: Function, index: int) -> str:
        beginning = characters(f'{{"name": {json.dumps(function.name)}, "{self.arguments}": ')
        call_id = f'("{_escaped(", " + _QUOTED_ID)}" {_CALL_ID} "\\"")?' if self.has_ids else ""
        return f'({beginning} arguments_{index} {call_id} "}}")'

    def _terminals(self, text: str, terminal: TerminalWriter) -> str:
        """Text that may have control tokens in it, as part of a rule."""
        parts = re.split("(" + "|".join(map(re.escape, self.controls)) + ")", text) if self.controls else [text]
        return " ".join(terminal(part) if part in self.controls else characters(part) for part in parts if part) or '""'


@dataclass(frozen=True, slots=True)
class ArgumentCalls:
    """Calls are a function's name, maybe an id, and the arguments as JSON, with a control token before each of them.

    ``before_id`` is empty where calls have no ids.
    """

    trigger: str = "[TOOL_CALLS]"
    before_id: str = "[CALL_ID]"
    before_arguments: str = "[ARGS]"

    @property
    def controls(self) -> tuple[str, ...]:
        """The control tokens of this form."""
        return tuple(filter(None, (self.trigger, self.before_id, self.before_arguments)))

    def rules(self, functions: Sequence[Function], *, parallel: bool, terminal: TerminalWriter) -> str:
        """A grammar for what follows the trigger: the rule ``calls`` and those that it needs beside ``arguments``."""
        call_id = f"({terminal(self.before_id)} {_CALL_ID})?" if self.before_id else ""
        calls = " | ".join(
            f"({characters(function.name)} {call_id} {terminal(self.before_arguments)} arguments_{index})"
            for index, function in enumerate(functions)
        )
        more = f"({terminal(self.trigger)} call){{0,{MOST_CALLS - 1}}}" if parallel else ""
        return f"calls: call {more}\ncall: {calls}"


CallFormat = JsonCalls | ArgumentCalls

TAGGED = JsonCalls(
    trigger="<tool_call>",
    open="\n",
    between="\n</tool_call>\n<tool_call>\n",
    close="\n</tool_call>",
)
"""The form of Hermes and Qwen models, and of those that have none of their own and are told of this one."""

LISTED = JsonCalls(trigger="[TOOL_CALLS]", open="[", between=", ", close="]", has_ids=True)
"""The form of Mistral's models up to the tokenizer's version 7."""

BARE = JsonCalls(between="; ", arguments="parameters")
"""The form of Llama models."""

NAMED = ArgumentCalls()
"""The form of Mistral's models from the tokenizer's version 11 on."""

_QUOTED_ID = '"id": "'
_PLAIN = {"type", "properties", "required", "title", "description", "$schema", "$defs", "definitions"}
"""Words of a schema that lists properties, and nothing more."""


def arguments_schema(function: Function) -> dict[str, Any]:
    """The schema of a function's arguments, which are always an object.

    Where it names all properties and does not speak of others there are no others: small models would not stop.
    """
    parameters = function.parameters
    if not parameters:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    names, required = parameters.get("properties"), parameters.get("required", [])
    is_plain = parameters.keys() <= _PLAIN and names and isinstance(names, dict) and isinstance(required, list)
    if is_plain and set(map(str, required)) <= set(names or ()):
        return {"type": "object"} | parameters | {"additionalProperties": False}
    return {"type": "object"} | parameters


def arguments_rules(functions: Sequence[Function]) -> str:
    """The rules ``arguments_0``, ``arguments_1``, … for the arguments of functions, in their order.

    There is one for each, however many forms of calls there are: a grammar cannot have more than some 250 schemas.
    """
    rules = json_rules([arguments_schema(function) for function in functions])
    return "\n".join(f"arguments_{index}: {rule}" for index, rule in enumerate(rules))


def characters(text: str) -> str:
    """Text as part of a rule."""
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def untagged_calls(functions: Sequence[Function], *, parallel: bool) -> str:
    """A grammar for calls with nothing or a Markdown fence around them: the rule ``untagged``, beside ``arguments``.

    Small models forget their form, and write one call or a list of them as they write any JSON. The keys are those of
    any form; where to break lines is left to them. What an answer of calls begins with is one terminal, so that it can
    be told from text in which a name happens to occur.
    """
    rules: list[str] = []
    for index, function in enumerate(functions):
        beginning = untagged_beginning(re.escape(function.name))
        rules += [
            rf"ONE_{index}: /{SPACE}{OPEN_FENCE}{beginning}/",
            rf"FIRST_{index}: /{SPACE}{OPEN_FENCE}\[{SPACE}{beginning}/",
            rf"NEXT_{index}: /{SPACE}{beginning}/",
        ]

    def one_of(beginning: str) -> str:
        return "(" + " | ".join(f"{beginning}_{index} arguments_{index} END" for index in range(len(functions))) + ")"

    more = f'("," {one_of("NEXT")}){{0,{MOST_CALLS - 1}}}' if parallel else ""
    return "\n".join(
        [
            f"untagged: ({one_of('ONE')} | {one_of('FIRST')} {more} END_OF_LIST) CLOSE_FENCE?",
            rf"END: /{SPACE}\}}{SPACE}/",
            rf"END_OF_LIST: /\]{SPACE}/",
            f"CLOSE_FENCE: /```{SPACE}/",
            *rules,
        ]
    )


def untagged_beginning(name: str) -> str:
    """A regular expression for what a call without its form's tags has before its arguments.

    ``name`` is the expression for the function's name. It is the first group, unless it has groups itself.
    """
    keys = ['"name"', ":", f'"({name})"', ",", '"(?:arguments|parameters)"', ":"]
    return SPACE.join([r"\{", *keys]) + SPACE


def not_untagged(functions: Sequence[Function]) -> str:
    """An expression of a grammar for text that does not begin like a call without its form's tags."""
    names = "|".join(re.escape(function.name) for function in functions)
    key = SPACE.join([r"\{", '"name"', ":", f'"({names})"', ","])
    return rf"~/(?s:{SPACE}{OPEN_FENCE}(\[{SPACE})?{key}.*)/"
