"""Samples in JavaScript for Node, with Mistral's client from npm."""

import dataclasses
import re
from collections.abc import Mapping

from ponant.samples.call import ApiCall, Json, Target
from ponant.samples.layout import JAVASCRIPT
from ponant.samples.operations import Match, Reply
from ponant.samples.results import is_plain
from ponant.samples.strings import javascript_string

_OPAQUE = frozenset({"metadata", "parameters", "schemaDefinition", "arguments"})
"""Members whose values are the user's own, with names that are kept."""
_SCHEMA = {"schema": "schemaDefinition"}
"""Member of a format for answers that has another name in the client."""
_TIMES = ("created_after", "created_before")
"""Parameters of type ``Date``."""
_LOOP = "for await (const event of stream) {\n"


class _Time(str):
    """Time that the client takes as a ``Date``."""


def _string(text: str) -> str:
    literal = javascript_string(text)
    return f"new Date({literal})" if isinstance(text, _Time) else literal


_ARGUMENT = dataclasses.replace(JAVASCRIPT, string=_string)


def npm_sample(call: ApiCall, match: Match, target: Target) -> str:
    """Return the module."""
    operation = match.operation
    method = _camel_case(operation.call)
    fields: dict[str, Json] = {**match.ids, **match.fields}
    streamed = fields.pop("stream", None) is True
    if streamed:
        method = method.replace(".complete", ".stream")
    if operation.call == "models.update":
        fields = {**match.ids, "update_model_request": call.body}
    result = "stream" if streamed else operation.result
    called = f"const {result} = await client.{method}("
    statement = f"{called}{_argument(call, fields, len(called))});\n"
    return f"{_head(call, match, target)}{statement}{_printing(call, match, streamed=streamed)}"


def _head(call: ApiCall, match: Match, target: Target) -> str:
    functions = ["readFile"] * bool(call.form) + ["writeFile"] * (match.operation.reply is Reply.CONTENT)
    lines = [f'import {{ {name} }} from "node:fs/promises";' for name in functions]
    lines.append('import { Mistral } from "@mistralai/mistralai";')
    if match.operation.is_early:
        lines.insert(0, "// npm install @mistralai/mistralai@1: later versions have no fine-tuning.")
    options = [f"apiKey: process.env.{target.key}"] if target.key else []
    options.append(f"serverURL: {javascript_string(target.address.rstrip('/') + match.prefix)}")
    made = f"const client = new Mistral({{ {', '.join(options)} }});"
    if len(made) > 100:
        made = "const client = new Mistral({\n" + "".join(f"  {option},\n" for option in options) + "});"
    return "\n".join([*lines, "", made, "", ""])


def _argument(call: ApiCall, fields: Mapping[str, Json], before: int) -> str:
    if call.form:
        name = javascript_string(call.form.file_name)
        file = f"  file: {{ fileName: {name}, content: await readFile({name}) }},\n"
        others = "".join(f"  {_camel_case(key)}: {JAVASCRIPT.literal(value)},\n" for key, value in fields.items())
        return f"{{\n{file}{others}}}"
    if not fields:
        return ""
    typed = {
        name: _Time(value) if name in _TIMES and isinstance(value, str) else value for name, value in fields.items()
    }
    return _ARGUMENT.literal(_renamed(typed), before=before, after=2)


def _renamed(value: Json) -> Json:
    """Return a value with the names that the client has for the API's fields."""
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    named: dict[str, Json] = {}
    for key, item in value.items():
        name = _camel_case(key)
        named[name] = item if name in _OPAQUE else _renamed(item)
        if name == "jsonSchema" and isinstance(item, dict) and "schema" in item:
            named[name] = _renamed({_SCHEMA.get(inner, inner): part for inner, part in item.items()})
    return named


def _camel_case(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def _printing(call: ApiCall, match: Match, *, streamed: bool) -> str:
    result = match.operation.result
    if streamed and is_plain(call):
        return f'{_LOOP}  process.stdout.write(event.data.choices[0].delta.content ?? "");\n}}\nconsole.log();\n'
    if streamed:
        return f"{_LOOP}  console.dir(event.data, {{ depth: null }});\n}}\n"
    match match.operation.reply:
        case Reply.COMPLETION if is_plain(call):
            return f"console.log({result}.choices[0].message.content);\n"
        case Reply.COMPLETION:
            return f"console.dir({result}.choices, {{ depth: null }});\n"
        case Reply.CONTENT:
            return f'await writeFile("content.jsonl", {result});\n'
    return f"console.log({result});\n"
