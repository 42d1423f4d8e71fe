"""``x-codeSamples`` of a document: each operation's first example as a program in each language."""

from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from ponant.samples.call import ApiCall, Method, Target, UploadForm
from ponant.samples.operations import find_operation
from ponant.samples.samples import samples_of

Json = dict[str, Any]

KEY_VARIABLE = "MISTRAL_API_KEY"
"""Environment variable that programs read the key from."""
_FORM = "multipart/form-data"
_UPLOAD = "capitals.jsonl"
"""File that programs upload, with the content that the example of the form has."""


def with_samples(document: Json, address: str, *, has_keys: bool) -> Json:
    """Return a document with code samples at each operation that has examples of its parameters and its body.

    Args:
        document: the document. One for an address that a sample cannot have is returned as it is.
        address: address of the server.
        has_keys: True if the server has keys, so that the samples send one.
    """
    try:
        target = Target(address, KEY_VARIABLE if has_keys else None)
    except ValueError:  # a strange Host header
        return document
    paths = {
        path: {method: _with_samples(path, method, operation, target) for method, operation in operations.items()}
        for path, operations in document["paths"].items()
    }
    return document | {"paths": paths}


def calls_of(path: str, method: str, operation: Json) -> Iterator[ApiCall]:
    """Yield the requests of an operation's examples; none if a parameter in its path has no example.

    Args:
        path: path with the names of parameters in braces.
        method: HTTP method.
        operation: the operation in a document.
    """
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            if "example" not in parameter:
                return
            path = path.replace(f"{{{parameter['name']}}}", quote(str(parameter["example"]), safe=":"))
    verb = cast("Method", method.upper())
    if "requestBody" not in operation:
        yield ApiCall(verb, path)
        return
    for media, content in operation["requestBody"]["content"].items():
        for example in content.get("examples", {}).values():
            query: Mapping[str, str] = example.get("x-query", {})
            if media == _FORM:
                fields = {name: value for name, value in example["value"].items() if name != "file"}
                yield ApiCall(verb, path, query, form=UploadForm(_UPLOAD, fields))
            else:
                yield ApiCall(verb, path, query, example["value"])


def _with_samples(path: str, method: str, operation: Json, target: Target) -> Json:
    call = next(calls_of(path, method, operation), None)
    if call is None or find_operation(call) is None:
        return operation
    samples = [
        {"lang": sample.language, "label": sample.label, "source": sample.source} for sample in samples_of(call, target)
    ]
    return operation | {"x-codeSamples": samples}
