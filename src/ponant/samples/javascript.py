"""Samples in JavaScript for Node, with fetch."""

from ponant.samples.call import ApiCall, Json, Target, field_text
from ponant.samples.layout import JAVASCRIPT, JSON
from ponant.samples.operations import Match, Reply
from ponant.samples.results import is_plain
from ponant.samples.strings import javascript_string

_LARGEST_EXACT = 2**53 - 1
"""Largest integer up to which JavaScript's numbers are exact."""
_EVENTS = """\
const decoder = new TextDecoder();
let text = "";
for await (const bytes of response.body) {
  const lines = (text + decoder.decode(bytes, { stream: true })).split("\\n");
  text = lines.pop();
  for (const line of lines) {
    if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
"""
_PIECES = """\
    const event = JSON.parse(line.slice("data: ".length));
    process.stdout.write(event.choices[0]?.delta.content ?? "");
"""
_WHOLE_EVENTS = """\
    console.log(line.slice("data: ".length));
"""


def fetch_sample(call: ApiCall, match: Match, target: Target) -> str:
    """Return the module."""
    content = match.operation.reply is Reply.CONTENT
    functions = ["readFile"] * bool(call.form) + ["writeFile"] * content
    head = f'import {{ {", ".join(functions)} }} from "node:fs/promises";\n\n' if functions else ""
    return f"{head}{_form(call)}const response = {_fetched(call, target)};\n{_printing(call, match)}"


def has_exact_numbers(value: Json) -> bool:
    """True if JavaScript's numbers express all integers in a value."""
    if isinstance(value, dict):
        return all(map(has_exact_numbers, value.values()))
    if isinstance(value, list):
        return all(map(has_exact_numbers, value))
    return not isinstance(value, int) or abs(value) <= _LARGEST_EXACT


def _form(call: ApiCall) -> str:
    if call.form is None:
        return ""
    name = javascript_string(call.form.file_name)
    fields = [
        f"form.append({javascript_string(field)}, {javascript_string(field_text(value))});\n"
        for field, value in call.form.fields.items()
    ]
    file = f'form.append("file", new Blob([await readFile({name})]), {name});\n'
    return f"const form = new FormData();\n{''.join(fields)}{file}\n"


def _fetched(call: ApiCall, target: Target) -> str:
    options = []
    if call.method != "GET":
        options.append(f'method: "{call.method}"')
    if headers := _headers(call, target):
        several = "".join(f"    {header},\n" for header in headers)
        options.append(f"headers: {{\n{several}  }}" if headers[1:] else f"headers: {{ {headers[0]} }}")
    if call.form:
        options.append("body: form")
    elif call.body is not None:
        options.append(f"body: {_body(call.body)}")
    url = javascript_string(target.url(call))
    if not options:
        return f"await fetch({url})"
    return f"await fetch({url}, {{\n" + "".join(f"  {option},\n" for option in options) + "})"


def _headers(call: ApiCall, target: Target) -> list[str]:
    headers = []
    if target.key:
        headers.append(f"Authorization: `Bearer ${{process.env.{target.key}}}`")
    if call.body is not None:
        headers.append('"Content-Type": "application/json"')
    return headers


def _body(body: dict[str, Json]) -> str:
    if has_exact_numbers(body):
        return f"JSON.stringify({JAVASCRIPT.body(body, indent='  ')})"
    return javascript_string(JSON.body(body))


def _printing(call: ApiCall, match: Match) -> str:
    refused = "if (!response.ok) throw new Error(await response.text());\n"
    if call.is_streamed:
        plain = is_plain(call)
        return f"{refused}\n{_EVENTS}{_PIECES if plain else _WHOLE_EVENTS}  }}\n}}\n" + "console.log();\n" * plain
    match match.operation.reply:
        case Reply.CONTENT:
            return f'{refused}await writeFile("content.jsonl", response.body);\n'
        case Reply.COMPLETION if is_plain(call):
            return f"{refused}const {{ choices }} = await response.json();\nconsole.log(choices[0].message.content);\n"
        case Reply.COMPLETION:
            return f"{refused}const {{ choices }} = await response.json();\nconsole.dir(choices, {{ depth: null }});\n"
    return f"{refused}console.log(await response.json());\n"
