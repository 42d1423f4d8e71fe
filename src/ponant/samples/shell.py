"""Samples for the shell, with curl."""

from ponant.samples.call import ApiCall, Target, field_text
from ponant.samples.layout import JSON
from ponant.samples.operations import Match, Reply
from ponant.samples.strings import shell_word

_LONGEST_ARGUMENT = 100_000
"""Longest body that is passed as an argument, in bytes. Linux allows 131,071."""
_END = "END_OF_BODY"


def shell_sample(call: ApiCall, match: Match, target: Target) -> str:
    """Return the command."""
    words = ["curl"]
    if call.is_streamed:
        words.append("--no-buffer")
    if call.method != ("POST" if call.body is not None or call.form else "GET"):
        words.append(f"--request {call.method}")
    words.append(shell_word(target.url(call)))
    lines = [" ".join(words)]
    if target.key:
        lines.append(f'--header "Authorization: Bearer ${target.key}"')
    if call.form:
        lines += [_form_field(name, field_text(value)) for name, value in call.form.fields.items()]
        lines.append(f"--form {shell_word(_file(call.form.file_name))}")
    document = None
    if call.body is not None:
        lines.append("--header 'Content-Type: application/json'")
        text = JSON.body(call.body)
        if len(text.encode()) > _LONGEST_ARGUMENT:
            document = f"{text}\n{_END}"
            lines.append(f"--data-binary @- <<'{_END}'")
        else:
            lines.append(f"--data {shell_word(text)}")
    if match.operation.reply is Reply.CONTENT:
        lines.append("--output content.jsonl")
    command = " \\\n  ".join(lines)
    return f"{command}\n{document}\n" if document else f"{command}\n"


def _file(name: str) -> str:
    if name.isidentifier() or name.replace(".", "").isalnum():
        return f"file=@{name}"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'file=@"{escaped}"'


def _form_field(name: str, value: str) -> str:
    return f"--form-string {shell_word(f'{name}={value}')}"
