"""Samples in Python, with Mistral's client, with Ponant's or, for the dialects of its API, with OpenAI's."""

from collections.abc import Mapping

from ponant.samples.call import ApiCall, Json, Target
from ponant.samples.layout import PYTHON, WIDTH
from ponant.samples.operations import OPENAI_CHAT, Match, Reply
from ponant.samples.results import is_plain, several
from ponant.samples.strings import python_string

_TIMES = ("created_after", "created_before")
"""Parameters of type ``datetime``."""
_IMPORTS = {"datetime": "from datetime import datetime", "pathlib": "from pathlib import Path"}


def mistralai_sample(call: ApiCall, match: Match, target: Target) -> str:
    """Return the program with the package ``mistralai``."""
    early = match.operation.is_early
    package = "mistralai" if early else "mistralai.client"
    heading = '# pip install "mistralai<2": later versions have no fine-tuning.\n' if early else ""
    return heading + _program(call, match, target, package)


def ponant_sample(call: ApiCall, match: Match, target: Target) -> str:
    """Return the program with the package ``ponant``."""
    return _program(call, match, target, "ponant")


def openai_sample(call: ApiCall, match: Match, target: Target) -> str:
    """Return the program with the package ``openai``. Without a key it takes an empty one."""
    url = python_string(f"{target.address.rstrip('/')}{match.prefix}/v1")
    key = f'os.environ["{target.key}"]' if target.key else '""'
    client = _invocation("client = OpenAI", {"api_key": key, "base_url": url})
    given = {name: _argument(name, value) for name, value in (call.body or {}).items()}
    result = "stream" if call.is_streamed else OPENAI_CHAT.result
    created = _invocation(f"{result} = client.{OPENAI_CHAT.call}", given)
    printing = _printing(call, match, event="event", streamed=call.is_streamed)
    imports = "import os\n\n" if target.key else ""
    return f"{imports}from openai import OpenAI\n\n{client}\n\n{created}\n{printing}"


def _program(call: ApiCall, match: Match, target: Target, package: str) -> str:
    operation = match.operation
    method = operation.call
    arguments: dict[str, Json] = {**match.ids, **match.fields}
    streamed = arguments.pop("stream", None) is True
    if streamed:
        method = method.replace(".complete", ".stream")
    given = {name: _argument(name, value) for name, value in arguments.items()}
    if call.form:
        given = _file_argument(call, package) | given
    result = "stream" if streamed else operation.result
    statements = f"{_invocation(f'{result} = client.{method}', given)}\n"
    if call.form and package != "ponant":
        opened = f'with open({python_string(call.form.file_name)}, "rb") as content:\n'
        statements = opened + "".join(f"    {line}\n" for line in statements.splitlines())
    statements += _printing(call, match, event="event.data", streamed=streamed)
    modules = {"datetime": not arguments.keys().isdisjoint(_TIMES), "pathlib": operation.reply is Reply.CONTENT}
    return f"{_head(target, match, package, modules)}{statements}"


def _head(target: Target, match: Match, package: str, modules: Mapping[str, bool]) -> str:
    """Return the imports, some of modules that only some programs need, and the client."""
    standard = ["import os"] if target.key else []
    standard += [_IMPORTS[module] for module, is_needed in modules.items() if is_needed]
    imports = "".join(f"{line}\n" for line in standard) + ("\n" if standard else "")
    arguments = {"server_url": python_string(f"{target.address.rstrip('/')}{match.prefix}")}
    if target.key:
        arguments = {"api_key": f'os.environ["{target.key}"]'} | arguments
    client = _invocation("client = Mistral", arguments)
    return f"{imports}from {package} import Mistral\n\n{client}\n\n"


def _invocation(function: str, arguments: Mapping[str, str]) -> str:
    line = f"{function}({', '.join(f'{name}={value}' for name, value in arguments.items())})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    return f"{function}(\n" + "".join(f"    {name}={value},\n" for name, value in arguments.items()) + ")"


def _argument(name: str, value: Json) -> str:
    if name in _TIMES and isinstance(value, str):
        return f"datetime.fromisoformat({python_string(_with_offset(value))})"
    return _literal(value, before=len(name) + 5)


def _with_offset(time: str) -> str:
    """Return a time in the form that all versions of Python read."""
    return f"{time[:-1]}+00:00" if time.endswith("Z") else time


def _literal(value: Json, before: int = 0) -> str:
    return PYTHON.literal(value, indent="    ", before=before, after=1)


def _file_argument(call: ApiCall, package: str) -> dict[str, str]:
    assert call.form
    name = python_string(call.form.file_name)
    if package == "ponant":
        return {"file": name}
    return {"file": f'{{"file_name": {name}, "content": content}}'}


def _printing(call: ApiCall, match: Match, *, event: str, streamed: bool) -> str:
    result = match.operation.result
    if streamed:
        if is_plain(call):
            printed = f'print({event}.choices[0].delta.content or "", end="", flush=True)'
            return f"for event in stream:\n    {printed}\nprint()\n"
        return f"for event in stream:\n    print({event})\n"
    match match.operation.reply:
        case Reply.COMPLETION if several(call):
            return f"for choice in {result}.choices:\n    print(choice.message.content)\n"
        case Reply.COMPLETION:
            return f"print({result}.choices[0].message{'.content' if is_plain(call) else ''})\n"
        case Reply.VECTORS:
            return f"for item in {result}.data:\n    print(item.index, item.embedding)\n"
        case Reply.PAGE:
            return f"for item in {result}.data:\n    print(item.id)\n"
        case Reply.CONTENT:
            return f'Path("content.jsonl").write_bytes({result}.read())\n'
    return f"print({result})\n"
