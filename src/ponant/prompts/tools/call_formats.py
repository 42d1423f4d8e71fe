"""Formats in which models write tool calls, with their grammars."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ponant.api.chat import Function
from ponant.prompts.json_schema.rules import json_rules

MOST_CALLS = 32
"""Maximum number of calls of an answer."""

TerminalWriter = Callable[[str], str]
"""Function that writes a text as a terminal: a control token if the vocabulary has it, else its characters."""

_CALL_ID = "/[a-zA-Z0-9]{9}/"
SPACE = r"[ \t\r\n]{0,8}"
"""Expression for the white space in calls without their format's tags."""
FENCE = ("`", "`", "`", "[a-zA-Z_]{0,16}")
"""Expressions for the parts that open a Markdown fence: three backticks and the name of a language."""
OPEN_FENCE = f"(?:{''.join(FENCE)}{SPACE})?"
"""Expression for an optional opening fence."""


@dataclass(frozen=True, slots=True)
class JsonCalls:
    """Calls as JSON objects, each with the name and the arguments of a function.

    Attributes:
        trigger: control token or text before the calls; without one, an answer is either text or calls.
        open: text after the trigger.
        between: text between two calls.
        close: text after the last call.
        arguments: key of the arguments.
        has_ids: True if a call may have an ``id`` after its arguments.
    """

    trigger: str = ""
    open: str = ""
    between: str = ""
    close: str = ""
    arguments: str = "arguments"
    has_ids: bool = False

    @property
    def controls(self) -> tuple[str, ...]:
        """Texts of this format that are control tokens in some vocabularies."""
        return tuple(text for text in (self.trigger, self.close.strip()) if len(text) > 1)

    def rules(self, functions: Sequence[Function], *, parallel: bool, terminal: TerminalWriter) -> str:
        """Return the rule ``calls`` for the text after the trigger. It uses the rules of the arguments."""
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
        """Return an answer that consists of one call."""
        call = json.dumps({"name": name, self.arguments: arguments}, ensure_ascii=False)
        return f"{self.trigger}{self.open}{call}{self.close}"

    def _call(self, function: Function, index: int) -> str:
        beginning = characters(f'{{"name": {json.dumps(function.name)}, "{self.arguments}": ')
        call_id = f'("{_escaped(", " + _QUOTED_ID)}" {_CALL_ID} "\\"")?' if self.has_ids else ""
        return f'({beginning} arguments_{index} {call_id} "}}")'

    def _terminals(self, text: str, terminal: TerminalWriter) -> str:
        """Return a text that may contain control tokens as part of a rule."""
        parts = re.split("(" + "|".join(map(re.escape, self.controls)) + ")", text) if self.controls else [text]
        return " ".join(terminal(part) if part in self.controls else characters(part) for part in parts if part) or '""'


@dataclass(frozen=True, slots=True)
class ArgumentCalls:
    """Calls as a function's name, an optional id and the JSON arguments, each after a control token.

    Attributes:
        trigger: control token before the name.
        before_id: control token before the id; empty if calls have no ids.
        before_arguments: control token before the arguments.
    """

    trigger: str = "[TOOL_CALLS]"
    before_id: str = "[CALL_ID]"
    before_arguments: str = "[ARGS]"

    @property
    def controls(self) -> tuple[str, ...]:
        """Control tokens of this format."""
        return tuple(filter(None, (self.trigger, self.before_id, self.before_arguments)))

    def rules(self, functions: Sequence[Function], *, parallel: bool, terminal: TerminalWriter) -> str:
        """Return the rule ``calls`` for the text after the trigger. It uses the rules of the arguments."""
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
"""Format of Hermes and Qwen models, and of models without a format of their own, which are instructed to use it."""

LISTED = JsonCalls(trigger="[TOOL_CALLS]", open="[", between=", ", close="]", has_ids=True)
"""Format of Mistral's models up to tokenizer version 7."""

BARE = JsonCalls(between="; ", arguments="parameters")
"""Format of Llama models."""

NAMED = ArgumentCalls()
"""Format of Mistral's models from tokenizer version 11 on."""

_QUOTED_ID = '"id": "'
_PLAIN = {"type", "properties", "required", "title", "description", "$schema", "$defs", "definitions"}
"""Keywords of a schema that only lists properties."""


def arguments_schema(function: Function) -> dict[str, Any]:
    """Return the schema of a function's arguments, which are always an object.

    A schema that lists properties, and says nothing of others, allows no others: small models would not stop.
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
    """Return the rules ``arguments_0``, ``arguments_1``, … for the arguments of functions, in their order.

    All formats of calls share them, because a grammar cannot have more than about 250 schemas.
    """
    schemas = [arguments_schema(function) for function in functions]
    rules = json_rules(schemas, strict=[function.strict for function in functions])
    return "\n".join(f"arguments_{index}: {rule}" for index, rule in enumerate(rules))


def characters(text: str) -> str:
    """Return a text as part of a rule."""
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def untagged_calls(functions: Sequence[Function], *, parallel: bool) -> str:
    """Return the rule ``untagged``: calls without tags, or in a Markdown fence. It uses the rules of the arguments.

    Small models forget their format and write a call, or a list of calls, as plain JSON. The keys are those of any
    format, and line breaks are free. The beginning of the calls is one terminal, which distinguishes them from text
    that contains a function's name.
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
    """Return a regular expression for an untagged call up to its arguments.

    ``name`` is the expression for the function's name, and the first group of the result if it has no groups itself.
    """
    keys = ['"name"', ":", f'"({name})"', ",", '"(?:arguments|parameters)"', ":"]
    return SPACE.join([r"\{", *keys]) + SPACE


def not_untagged(functions: Sequence[Function]) -> str:
    """Return a grammar's expression for text that does not begin like an untagged call."""
    names = "|".join(re.escape(function.name) for function in functions)
    key = SPACE.join([r"\{", '"name"', ":", f'"({names})"', ","])
    return rf"~/(?s:{SPACE}{OPEN_FENCE}(\[{SPACE})?{key}.*)/"
