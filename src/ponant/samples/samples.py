"""Samples of a request in all languages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ponant.samples.call import ApiCall, Target
from ponant.samples.java import java_sample
from ponant.samples.javascript import fetch_sample, has_exact_numbers
from ponant.samples.javascript_client import npm_sample
from ponant.samples.operations import OPENAI_CHAT, UPLOAD, Match, find_operation
from ponant.samples.python import mistralai_sample, openai_sample, ponant_sample
from ponant.samples.shell import shell_sample
from ponant.samples.swift import swift_sample

Language: TypeAlias = Literal["shell", "python", "javascript", "java", "swift"]
_Writer: TypeAlias = Callable[[ApiCall, Match, Target], str]


@dataclass(frozen=True)
class CodeSample:
    """A program that makes one request.

    Attributes:
        form: name of the language and the library, such as ``python-mistralai``.
        language: the language.
        label: the form's name for people.
        source: the program's text.
    """

    form: str
    language: Language
    label: str
    source: str


@dataclass(frozen=True)
class _Form:
    name: str
    language: Language
    label: str
    write: _Writer
    is_client: bool = False


_DIALECTS = ("/nim", "/openai")
"""Ends of the addresses at which a server has a dialect of OpenAI's API."""

FORMS: tuple[_Form, ...] = (
    _Form("shell", "shell", "curl", shell_sample),
    _Form("python-mistralai", "python", "mistralai", mistralai_sample, is_client=True),
    _Form("python-ponant", "python", "ponant", ponant_sample, is_client=True),
    _Form("python-openai", "python", "openai", openai_sample, is_client=True),
    _Form("javascript-fetch", "javascript", "fetch", fetch_sample),
    _Form("javascript-mistralai", "javascript", "@mistralai/mistralai", npm_sample, is_client=True),
    _Form("java", "java", "java.net.http", java_sample),
    _Form("swift", "swift", "URLSession", swift_sample),
)
"""The forms, in the order of the pages."""


def samples_of(call: ApiCall, target: Target) -> list[CodeSample]:
    """Return the samples of a request, without those of clients that cannot make it.

    Raises:
        ValueError: the API has no such operation, or it needs a form, or takes none.
    """
    match = find_operation(call)
    if match is None:
        raise ValueError(f"The API has no operation {call.method} {call.path}.")
    if (match.operation.call == UPLOAD) != (call.form is not None):
        raise ValueError("A file is uploaded with a form, and no other request has one.")
    return [
        CodeSample(form.name, form.language, form.label, form.write(call, match, target))
        for form in FORMS
        if not form.is_client or _is_supported(call, match, target, form.name)
    ]


def _is_supported(call: ApiCall, match: Match, target: Target, form: str) -> bool:
    """True if a client's method has parameters for all fields of a request, and reads the answer."""
    given = match.fields.keys()
    if form == "python-openai":
        is_dialect = f"{target.address.rstrip('/')}{match.prefix}".endswith(_DIALECTS)
        return is_dialect and OPENAI_CHAT.pattern.fullmatch(call.path) is not None and OPENAI_CHAT.takes(given)
    operation = match.operation
    if not operation.takes(given):
        return False
    if form == "python-ponant":
        return True
    if form == "javascript-mistralai" and not has_exact_numbers(call.body):
        return False
    # The official clients expect lists of numbers.
    return given.isdisjoint(operation.later) and match.fields.get("encoding_format") != "base64"
