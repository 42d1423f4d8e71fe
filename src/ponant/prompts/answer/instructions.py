"""Instructions in the system message, for models whose template has none of their own."""

import json
from collections.abc import Sequence
from typing import Any

from ponant.api.chat import Function, Tool
from ponant.prompts.answer.output_format import Thinking
from ponant.prompts.answer.spec import AnswerSpec
from ponant.prompts.json_schema.outline import outline

_TOOLS = """\
You can call functions. Each of these lines describes one, its parameters as a JSON schema:
{functions}"""

_CALL = """\
{when} Write its name and arguments as JSON between tags, and nothing else. For example:
<tool_call>
{example}
</tool_call>"""

_WHERE_IT_CAN = "If one of them can do what the user asks for, call it."
_OTHERWISE = "\nOnly if none of them can, answer in plain text."

_SCHEMA = """\
Answer with one JSON document and nothing else. Its form:
{form}"""

_OBJECT = "Answer with one JSON object and nothing else."

_REASONING = """\
Before you answer, think about the question step by step, in your own words: what is asked, what you know, what follows
from it, and whether that can be right. Write these thoughts between the lines <think> and </think>. After them, write
the answer for the user, complete in itself, as the thoughts are not shown."""


def tools_instructions(spec: AnswerSpec) -> str:
    """Return the description of the tools, with instructions on when and how to call them (``TAGGED``).

    Small models follow best an example with one of their own functions, and what comes first.
    """
    described = [json.dumps(describe(tool)["function"], ensure_ascii=False) for tool in spec.tools]
    tools = _TOOLS.format(functions="\n".join(described))
    if spec.calls == "none":
        return tools
    if spec.calls == "auto":
        when, otherwise = _WHERE_IT_CAN, _OTHERWISE
    else:
        what = f"the function {spec.functions[0].name}" if len(spec.functions) == 1 else "a function"
        when, otherwise = f"Now you must call {what}.", ""
    return joined([tools, _CALL.format(when=when, example=_example(spec.functions[0])) + otherwise])


def _example(function: Function) -> str:
    """Return a call of a function with an ellipsis for each required argument."""
    required = function.parameters.get("required")
    arguments = {str(name): "…" for name in required} if isinstance(required, list) else {}
    return json.dumps({"name": function.name, "arguments": arguments}, ensure_ascii=False)


def schema_instructions(schema: dict[str, Any]) -> str:
    """Return the instruction to answer with JSON of a schema."""
    if schema == {"type": "object"}:
        return _OBJECT
    description = schema.get("description")
    form = _SCHEMA.format(form=outline(schema))
    return f"{form}\n{description}" if isinstance(description, str) else form


def reasoning_instructions(thinking: Thinking) -> str:
    """Return the instruction to think before answering."""
    return _REASONING.replace("<think>", thinking.open).replace("</think>", thinking.close)


def describe(tool: Tool) -> dict[str, Any]:
    """Return a tool as chat templates expect it."""
    function = tool.function
    described = {"name": function.name, "description": function.description, "parameters": function.parameters}
    return {"type": "function", "function": described}


def joined(texts: Sequence[str | None]) -> str:
    """Join the non-empty texts with blank lines."""
    return "\n\n".join(text for text in texts if text)
