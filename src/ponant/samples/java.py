"""Samples in Java, with java.net.http: whole programs for ``java File.java``."""

import re

from ponant.samples.call import ApiCall, Target
from ponant.samples.layout import ASCII_JSON
from ponant.samples.multipart import BOUNDARY, head_lines
from ponant.samples.operations import Match, Reply
from ponant.samples.strings import java_string

_LONGEST_CONSTANT = 60_000
"""Longest text of one constant, in characters. A class file allows 65,535 bytes."""
_CLASSES = (
    "java.net.URI",
    "java.net.http.HttpClient",
    "java.net.http.HttpRequest",
    "java.net.http.HttpRequest.BodyPublishers",
    "java.net.http.HttpResponse",
    "java.net.http.HttpResponse.BodyHandlers",
    "java.nio.file.Path",
    "java.util.UUID",
    "java.util.stream.Stream",
)


def java_sample(call: ApiCall, match: Match, target: Target) -> str:
    """Return the program."""
    statements = _body(call) + _request(call, target) + _answer(call, match)
    code = "".join(f"        {line}".rstrip() + "\n" for line in statements.splitlines())
    outside_strings = re.sub(r'"""[\s\S]*?"""|"(?:\\.|[^"\\])*"', "", code)
    classes = [name for name in _CLASSES if re.search(rf"\b{name.rpartition('.')[2]}\b", outside_strings)]
    return (
        "".join(f"import {name};\n" for name in classes)
        + f"\npublic class {match.operation.title} {{\n"
        + "    public static void main(String[] args) throws Exception {\n"
        + f"{code}    }}\n}}\n"
    )


def _body(call: ApiCall) -> str:
    if call.form:
        lines = "".join(f"    {_line(line)},\n" for line in head_lines(call.form))
        return (
            "String boundary = UUID.randomUUID().toString();\n"
            f'String head = String.join("\\r\\n",\n{lines}    "", "");\n'
            'String tail = "\\r\\n--" + boundary + "--\\r\\n";\n'
        )
    if call.body is None:
        return ""
    text = ASCII_JSON.body(call.body)
    if len(text) > _LONGEST_CONSTANT:
        parts = [
            java_string(text[at : at + _LONGEST_CONSTANT // 2]) for at in range(0, len(text), _LONGEST_CONSTANT // 2)
        ]
        return 'String body = String.join("",\n' + ",\n".join(f"    {part}" for part in parts) + ");\n"
    block = text.replace("\\", "\\\\").replace("\n", "\n    ")
    return f'String body = """\n    {block}""";\n'


def _line(line: str) -> str:
    return '"--" + boundary' if line == BOUNDARY else java_string(line)


def _request(call: ApiCall, target: Target) -> str:
    parts = []
    if target.key:
        parts.append(f'.header("Authorization", "Bearer " + System.getenv("{target.key}"))')
    if call.form:
        parts.append('.header("Content-Type", "multipart/form-data; boundary=" + boundary)')
        file = f"BodyPublishers.ofFile(Path.of({java_string(call.form.file_name)}))"
        pieces = ("BodyPublishers.ofString(head)", file, "BodyPublishers.ofString(tail)")
        parts.append(".POST(BodyPublishers.concat(\n" + ",\n".join(f"        {piece}" for piece in pieces) + "))")
    elif call.body is not None:
        parts.append('.header("Content-Type", "application/json")')
    publisher = "BodyPublishers.noBody()" if call.body is None else "BodyPublishers.ofString(body)"
    if call.method in ("GET", "DELETE") and call.body is None:
        parts += [".DELETE()"] * (call.method == "DELETE")
    elif call.method == "POST" and not call.form:
        parts.append(f".POST({publisher})")
    elif not call.form:
        parts.append(f'.method("{call.method}", {publisher})')
    parts = [f".uri(URI.create({java_string(target.url(call))}))", *parts, ".build();"]
    return "HttpRequest request = HttpRequest.newBuilder()\n" + "".join(f"    {part}\n" for part in parts)


def _answer(call: ApiCall, match: Match) -> str:
    sent = "HttpClient.newHttpClient()\n    .send(request, BodyHandlers"
    if call.is_streamed:
        return (
            f"HttpResponse<Stream<String>> response = {sent}.ofLines());\n"
            "response.body()\n"
            '    .filter(line -> line.startsWith("data: ") && !line.equals("data: [DONE]"))\n'
            '    .map(line -> line.substring("data: ".length()))\n'
            "    .forEach(System.out::println);\n"
        )
    if match.operation.reply is Reply.CONTENT:
        return (
            f'HttpResponse<Path> response = {sent}.ofFile(Path.of("content.jsonl")));\n'
            'System.out.println("Written: " + response.body());\n'
        )
    return f"HttpResponse<String> response = {sent}.ofString());\nSystem.out.println(response.body());\n"
