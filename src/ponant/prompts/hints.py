"""What the system message says to models that do not know it by themselves."""

import json
from collections.abc import Sequence
from typing import Any

from ponant.api.chat import Tool
from ponant.prompts.answers import AnswerForm
from ponant.prompts.outline import outline
from ponant.prompts.reading import Thinking

_TOOLS = """\
You can call functions. Each of these lines describes one, its parameters as a JSON schema:
{functions}
To call a function, write its name and arguments as JSON between tags, like this, and nothing after it:
<tool_call>
{{"name": "the function's name", "arguments": {{"a parameter": "its value"}}}}
</tool_call>
The result then comes between <tool_response> tags. {choice}"""

_CHOICES = {
    "auto": "Call a function where it helps to answer; otherwise answer in plain text.",
    "required": "Now you must call a function.",
    "none": "",
}

_SCHEMA = """\
Answer with one JSON document and nothing else. Its form:
{form}"""

_OBJECT = "Answer with one JSON object and nothing else."

_REASONING = """\
Before you answer, think about the question step by step, in your own words: what is asked, what you know, what follows
from it, and whether that can be right. Write these thoughts between the lines <think> and </think>. After them, write
the answer for the user, complete in itself, as the thoughts are not shown."""


def tools_hint(form: AnswerForm) -> str:
    """Of the tools of an answer, and how they are called (``prompts.calls.TAGGED``)."""
    functions = [json.dumps(describe(tool)["function"], ensure_ascii=False) for tool in form.tools]
    if form.calls == "required" and len(form.functions) == 1:
        choice = f"Now you must call the function {form.functions[0].name}."
    else:
        choice = _CHOICES[form.calls]
    return _TOOLS.format(functions="\n".join(functions), choice=choice).rstrip()


def schema_hint(schema: dict[str, Any]) -> str:
    """Of the schema that the answer must satisfy."""
    if schema == {"type": "object"}:
        return _OBJECT
    description = schema.get("description")
    form = _SCHEMA.format(form=outline(schema))
    return f"{form}\n{description}" if isinstance(description, str) else form


def reasoning_hint(thinking: Thinking) -> str:
    """To think before answering."""
    return _REASONING.replace("<think>", thinking.open).replace("</think>", thinking.close)


def describe(tool: Tool) -> dict[str, Any]:
    """A tool as chat templates get it."""
    function = tool.function
    described = {"name": function.name, "description": function.description, "parameters": function.parameters}
    return {"type": "function", "function": described}


def joined(texts: Sequence[str | None]) -> str:
    """The texts that there are, a blank line apart."""
    return "\n\n".join(text for text in texts if text)
