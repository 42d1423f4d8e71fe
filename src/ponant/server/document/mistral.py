"""The document of the Mistral API."""

import copy
import itertools
from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from ponant._version import __version__
from ponant.api.chat import CompletionEvent
from ponant.api.errors import ErrorResponse, HTTPValidationErrorData
from ponant.api.limits import declared_limits
from ponant.server.body_limits import body_limits_of
from ponant.server.document.defaults import ModelDefaults
from ponant.server.document.examples.errors import UNAUTHORIZED_SCHEMA
from ponant.server.document.frame import SECURITY_SCHEMES, security, tags_of, with_footer
from ponant.server.document.operation_text import OperationText
from ponant.server.document.operations import OPERATIONS, TAGS
from ponant.server.document.schemas import (
    Json,
    describe_parameters,
    describe_schema,
    dicts_of,
    require_model,
    write_models,
    write_whole_numbers,
)
from ponant.server.document.statuses import responses_of
from ponant.server.document.texts.answers import ANSWER_TEXTS
from ponant.server.document.texts.chat import CHAT_TEXTS
from ponant.server.document.texts.embeddings import EMBEDDING_TEXTS
from ponant.server.document.texts.errors import ERROR_TEXTS
from ponant.server.document.texts.field_text import SchemaText
from ponant.server.document.texts.files import FILE_TEXTS
from ponant.server.document.texts.guardrails import GUARDRAIL_TEXTS
from ponant.server.document.texts.jobs import JOB_TEXTS
from ponant.server.document.texts.messages import MESSAGE_TEXTS
from ponant.server.document.texts.models import MODEL_TEXTS
from ponant.server.document.texts.sampling import temperature
from ponant.settings import Settings

TEXTS: Mapping[str, SchemaText] = {
    **CHAT_TEXTS,
    **MESSAGE_TEXTS,
    **ANSWER_TEXTS,
    **EMBEDDING_TEXTS,
    **MODEL_TEXTS,
    **FILE_TEXTS,
    **JOB_TEXTS,
    **GUARDRAIL_TEXTS,
    **ERROR_TEXTS,
}
"""Texts by the name of the schema."""
_WITHOUT_ROUTE: tuple[type[BaseModel], ...] = (CompletionEvent, HTTPValidationErrorData, ErrorResponse)
"""Types of responses that no route declares."""
_WITH_MODEL = ("ChatCompletionRequest", "FIMCompletionRequest", "EmbeddingRequest")
"""Requests whose model the reference requires. The server accepts requests without it."""
_ABOUT = (
    "The Mistral API on your own hardware.\n\n"
    "If the server has keys, send one as `Authorization: Bearer KEY`; a server without keys ignores the header. Every "
    "response has an id in its `x-request-id` header, which also appears in the server's log. Unknown fields in a "
    "request are refused. Null for an optional field means that it was not sent.\n\n"
    "The operations also work without `/v1` in their paths. OpenAI's API is at `/openai/v1`, and NVIDIA NIM's chat "
    "completions are at `/nim/v1`."
)
_OTHER_DIALECTS = {
    "nim": '\n\nThis server has the setting `dialect = "nim"`: chat completions at `/v1` have the fields, limits and '
    "answers that `/nim/openapi.json` describes.",
    "openai": '\n\nThis server has the setting `dialect = "openai"`: requests and answers at `/v1` have the form of '
    "OpenAI's API.",
}
"""Texts of servers with another dialect at ``/v1``."""


def build_mistral(app: FastAPI, defaults: ModelDefaults, settings: Settings, *, has_keys: bool) -> Json:
    """Return the document of the application's routes, without servers and samples.

    Args:
        app: the application.
        defaults: defaults of the served models.
        settings: settings of the server.
        has_keys: True if requests need a key.
    """
    document = get_openapi(
        title="Ponant",
        version=__version__,
        description=_ABOUT + _OTHER_DIALECTS.get(settings.dialect, ""),
        routes=app.routes,
    )
    schemas: Json = document["components"]["schemas"]
    for kind in _WITHOUT_ROUTE:
        definition = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= definition.pop("$defs", {})
        schemas[definition["title"]] = definition
    schemas["Unauthorized"] = copy.deepcopy(UNAUTHORIZED_SCHEMA)
    _describe_schemas(document, defaults)
    document["paths"] = _paths(document["paths"], has_pages=settings.pages)
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    document["security"] = security(has_keys=has_keys)
    document["tags"] = tags_of(TAGS)
    write_whole_numbers(document)
    limited: Json = declared_limits(document, body_limits_of(app).lists)
    return write_models(limited, dict(defaults.names)) if defaults.names else limited


def _describe_schemas(document: Json, defaults: ModelDefaults) -> None:
    temperatures = {"ChatCompletionRequest": defaults.chat, "FIMCompletionRequest": defaults.fim}
    for schema in list(dicts_of(document)):
        name = schema.get("title")
        if isinstance(name, str) and (text := TEXTS.get(name)) and "properties" in schema:
            if name in temperatures:
                about = temperature(temperatures[name], defaults.sentence)
                text = SchemaText(text.text, {**text.fields, "temperature": about})
            describe_schema(schema, text)
    for name in _WITH_MODEL:
        require_model(document["components"]["schemas"][name])


def _paths(paths: Json, *, has_pages: bool) -> Json:
    """Return the paths with the texts of their operations, in the order of the operations."""
    found = {
        operation["operationId"]: (path, method)
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    order = [*(name for name in OPERATIONS if name in found), *(name for name in found if name not in OPERATIONS)]
    following = dict(itertools.pairwise(OPERATIONS))
    ordered: Json = {}
    for name in order:
        path, method = found[name]
        operation = paths[path][method]
        if text := OPERATIONS.get(name):
            link = _link(following[name], has_pages=has_pages) if name in following else ""
            operation = _described(operation, text, link)
        ordered.setdefault(path, {})[method] = operation
    return ordered


def _link(name: str, *, has_pages: bool) -> str:
    """Return the title of an operation, as a link to its place in the page ``/docs`` if the server has pages."""
    text = OPERATIONS[name]
    return f"[{text.title}](/docs#mistral/tag/{text.tag}/{name})" if has_pages else text.title


def _described(operation: Json, text: OperationText, following: str) -> Json:
    described = operation | {
        "tags": [text.tag],
        "summary": text.title,
        "description": with_footer(text.text, text.modified, following),
        "x-modified-at": text.modified.isoformat(),
        "responses": responses_of(operation, text),
    }
    describe_parameters(operation.get("parameters", []), text.parameters)
    if text.requests:
        for content in operation["requestBody"]["content"].values():
            content["examples"] = {example.name: example.described() for example in text.requests}
    return described
