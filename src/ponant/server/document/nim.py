"""The document of NVIDIA NIM's dialect."""

import copy
import datetime
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from ponant._version import __version__
from ponant.api.errors import ErrorResponse, HTTPValidationErrorData
from ponant.api.limits import declared_limits
from ponant.server.body_limits import body_limits_of
from ponant.server.document.defaults import ModelDefaults
from ponant.server.document.examples import errors, nim
from ponant.server.document.frame import SECURITY_SCHEMES, security, tags_of, with_footer
from ponant.server.document.nim_types import NimChatCompletion, NimChatRequest, NimEvent
from ponant.server.document.operation_text import EVENT_STREAM, JSON, AnswerExample, OperationText
from ponant.server.document.schemas import Json, describe_schema, write_models, write_whole_numbers
from ponant.server.document.statuses import responses_of
from ponant.server.document.texts.nim import NIM_TEXTS

_PATH = "/v1/chat/completions"
_REFERENCE = "#/components/schemas/{model}"
_TAGS: Mapping[str, tuple[str, str]] = {"chat": ("Chat", "Answers to conversations, with NIM's limits and defaults.")}
_ABOUT = (
    "NVIDIA NIM's chat completions on your own hardware, at `/nim/v1`.\n\n"
    "If the server has keys, send one as `Authorization: Bearer KEY`; a server without keys ignores the header."
)

NIM_OPERATION = OperationText(
    title="Create a chat completion",
    tag="chat",
    text="Generate the next message of a conversation. Requests and answers have the form of OpenAI's chat "
    "completions, with NIM's limits and defaults. Errors have the form of the Mistral API.",
    modified=datetime.date(2026, 11, 30),
    requests=nim.REQUESTS,
    answers={
        JSON: (AnswerExample(name="plain", summary="A text", value=nim.COMPLETION),),
        EVENT_STREAM: (
            AnswerExample(name="piece", summary="An event", value={"data": nim.CHUNK}),
            AnswerExample(name="last", summary="The last event before `data: [DONE]`", value={"data": nim.LAST_CHUNK}),
        ),
    },
    success="The answer. With `stream`, it is sent as server-sent events: lines `data: {...}`, each with a piece of "
    "the answer, and `data: [DONE]` at the end.",
    statuses={status: errors.ERRORS[status] for status in (422, 429, 504)} | {400: errors.TOP_LOGPROBS},
)


def build_nim(app: FastAPI, defaults: ModelDefaults, *, has_keys: bool) -> Json:
    """Return the document of NIM's dialect, without servers and samples.

    Args:
        app: the application.
        defaults: defaults of the served models.
        has_keys: True if requests need a key.
    """
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "NVIDIA NIM", "version": __version__, "description": _ABOUT},
        "paths": {_PATH: {"post": _operation()}},
        "components": {"schemas": _schemas(), "securitySchemes": SECURITY_SCHEMES},
        "security": security(has_keys=has_keys),
        "tags": tags_of(_TAGS),
    }
    write_whole_numbers(document)
    limited: Json = declared_limits(document, body_limits_of(app).lists)
    return write_models(limited, dict(defaults.names)) if defaults.names else limited


def _schemas() -> Json:
    responses = (NimChatCompletion, NimEvent, ErrorResponse, HTTPValidationErrorData)
    _, definitions = models_json_schema(
        [(NimChatRequest, "validation"), *((kind, "validation") for kind in responses)], ref_template=_REFERENCE
    )
    schemas: Json = {schema.get("title", name): schema for name, schema in definitions["$defs"].items()}
    schemas["Unauthorized"] = copy.deepcopy(errors.UNAUTHORIZED_SCHEMA)
    for name, schema in schemas.items():
        describe_schema(schema, NIM_TEXTS[name])
    return schemas


def _operation() -> Json:
    text = NIM_OPERATION
    examples = {example.name: example.described() for example in text.requests}
    body = {"schema": {"$ref": _REFERENCE.format(model=NimChatRequest.__name__)}, "examples": examples}
    answers = {JSON: NimChatCompletion, EVENT_STREAM: NimEvent}
    content = {media: {"schema": {"$ref": _REFERENCE.format(model=kind.__name__)}} for media, kind in answers.items()}
    operation: Json = {
        "tags": [text.tag],
        "summary": text.title,
        "description": with_footer(text.text, text.modified),
        "operationId": "nim_chat_completion_v1_chat_completions_post",
        "x-modified-at": text.modified.isoformat(),
        "requestBody": {"content": {JSON: body}, "required": True},
    }
    return operation | {"responses": responses_of({"responses": {"200": {"content": content}}}, text)}
