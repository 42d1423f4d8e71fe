"""The operations of the API, and the methods by which the clients call them."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from urllib.parse import unquote

from ponant.samples.call import ApiCall, Json, Method, Scalar, items_of

UPLOAD = "files.upload"
"""Method of the only operation with a form."""
_LISTS = ("sample_type", "source", "mimetypes")
_NUMBERS = ("page", "page_size", "expiry")
_FLAGS = ("include_total", "created_by_me", "dry_run")
_RENAMED = {"input": "inputs"}
"""Fields of which the clients' parameters have another name."""


class Reply(Enum):
    """Kinds of answers, each of which a sample prints in another way."""

    COMPLETION = auto()
    VECTORS = auto()
    PAGE = auto()
    OBJECT = auto()
    CONTENT = auto()


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        method: HTTP method.
        path: path with the names of ids in braces.
        call: method of the Python clients. In JavaScript, its words are joined in camel case.
        title: name of a program that makes the request.
        result: variable with the result.
        parameters: parameters of the method other than those in the path: fields of the body or of the query.
        required: parameters that the clients' methods require.
        reply: kind of the answer.
        is_early: True if only the first version of the official clients has the method.
        later: parameters that this first version does not have, if the method is its own.
    """

    method: Method
    path: str
    call: str
    title: str
    result: str
    parameters: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    reply: Reply = Reply.OBJECT
    is_early: bool = False
    later: frozenset[str] = frozenset()

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Pattern of the paths, with or without ``/v1``, with a group for each id and for the prefix of a dialect."""
        path = re.sub(r"\{(\w+)\}", r"(?P<\1>.+?)", self.path.removeprefix("/v1"))
        return re.compile(rf"(?P<prefix>(?:/nim|/openai)?)(?:/v1)?{path}")

    def takes(self, given: Set[str]) -> bool:
        """True if the method takes these parameters."""
        return self.required <= given <= self.parameters


@dataclass(frozen=True)
class Match:
    """Operation of a request.

    Attributes:
        operation: the operation.
        prefix: prefix of the path, which belongs to the address of the clients.
        ids: ids in the path by their names.
        fields: fields of the query, of the form and of the body, with the names and the types that clients take.
    """

    operation: Operation
    prefix: str
    ids: Mapping[str, str]
    fields: Mapping[str, Json]


def find_operation(call: ApiCall) -> Match | None:
    """Return the operation of a request; None for a path that is not in the table."""
    for operation in OPERATIONS:
        found = operation.pattern.fullmatch(call.path)
        if operation.method == call.method and found:
            ids = {name: unquote(value) for name, value in found.groupdict().items()}
            return Match(operation, ids.pop("prefix"), ids, _fields(call))
    return None


def _fields(call: ApiCall) -> dict[str, Json]:
    texts = {**call.query, **(call.form.fields if call.form else {})}
    fields = {name: _typed(name, value) for name, value in texts.items()} | (call.body or {})
    return {_RENAMED.get(name, name): value for name, value in fields.items()}


def _typed(name: str, value: Scalar | list[Scalar]) -> Json:
    """Return the value of a parameter that may have been given as text."""
    if name in _LISTS:
        return [*items_of(value)]
    if name in _NUMBERS and isinstance(value, str) and value.isdecimal():
        return int(value)
    if name in _FLAGS and value in ("true", "false"):
        return value == "true"
    return [*value] if isinstance(value, list) else value


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CHAT = _names(
    "model messages temperature top_p max_tokens stream stop random_seed metadata response_format tools tool_choice "
    "presence_penalty frequency_penalty n prediction parallel_tool_calls prompt_mode safe_prompt min_tokens top_k "
    "repetition_penalty logprobs top_logprobs prompt_logprobs top_prompt_logprobs reasoning_effort guardrails "
    "prompt_cache_key service_tier"
)
_FIM = _names(
    "model prompt suffix temperature top_p max_tokens min_tokens stream stop random_seed metadata prompt_cache_key"
)
_JOB = _names(
    "model hyperparameters training_files validation_files suffix integrations auto_start "
    "invalid_sample_skip_percentage job_type repositories classifier_targets dry_run"
)
_JOB_FILTERS = _names(
    "page page_size model created_after created_before created_by_me status wandb_project wandb_name suffix"
)
_FILE_FILTERS = _names("page page_size include_total sample_type source search purpose mimetypes")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        "/v1/chat/completions",
        "chat.complete",
        "ChatCompletion",
        "response",
        _CHAT,
        _names("model messages"),
        Reply.COMPLETION,
    ),
    Operation(
        "POST",
        "/v1/fim/completions",
        "fim.complete",
        "FimCompletion",
        "response",
        _FIM,
        _names("model prompt"),
        Reply.COMPLETION,
    ),
    Operation(
        "POST",
        "/v1/embeddings",
        "embeddings.create",
        "Embeddings",
        "response",
        _names("model inputs metadata output_dimension output_dtype encoding_format"),
        _names("model inputs"),
        Reply.VECTORS,
    ),
    Operation("GET", "/v1/models", "models.list", "ListModels", "models", _names("provider model"), reply=Reply.PAGE),
    Operation(
        "POST",
        "/v1/files",
        UPLOAD,
        "UploadFile",
        "file",
        _names("file expiry visibility purpose"),
    ),
    Operation("GET", "/v1/files", "files.list", "ListFiles", "files", _FILE_FILTERS, reply=Reply.PAGE),
    Operation("GET", "/v1/files/{file_id}/content", "files.download", "DownloadFile", "content", reply=Reply.CONTENT),
    Operation("GET", "/v1/files/{file_id}/url", "files.get_signed_url", "SignedUrl", "signed", _names("expiry")),
    Operation("GET", "/v1/files/{file_id}", "files.retrieve", "RetrieveFile", "file"),
    Operation("DELETE", "/v1/files/{file_id}", "files.delete", "DeleteFile", "deleted"),
    Operation(
        "GET",
        "/v1/fine_tuning/jobs",
        "fine_tuning.jobs.list",
        "ListJobs",
        "jobs",
        _JOB_FILTERS,
        reply=Reply.PAGE,
        is_early=True,
    ),
    Operation(
        "POST",
        "/v1/fine_tuning/jobs",
        "fine_tuning.jobs.create",
        "CreateJob",
        "job",
        _JOB,
        _names("model hyperparameters"),
        is_early=True,
        later=_names("dry_run"),
    ),
    Operation(
        "POST", "/v1/fine_tuning/jobs/{job_id}/start", "fine_tuning.jobs.start", "StartJob", "job", is_early=True
    ),
    Operation(
        "POST", "/v1/fine_tuning/jobs/{job_id}/cancel", "fine_tuning.jobs.cancel", "CancelJob", "job", is_early=True
    ),
    Operation("GET", "/v1/fine_tuning/jobs/{job_id}", "fine_tuning.jobs.get", "GetJob", "job", is_early=True),
    Operation(
        "PATCH",
        "/v1/fine_tuning/models/{model_id}",
        "models.update",
        "UpdateModel",
        "model",
        _names("name description"),
    ),
    Operation("POST", "/v1/fine_tuning/models/{model_id}/archive", "models.archive", "ArchiveModel", "archived"),
    Operation("DELETE", "/v1/fine_tuning/models/{model_id}/archive", "models.unarchive", "UnarchiveModel", "restored"),
    Operation("GET", "/v1/models/{model_id}", "models.retrieve", "RetrieveModel", "model"),
    Operation("DELETE", "/v1/models/{model_id}", "models.delete", "DeleteModel", "deleted"),
)
"""The operations. Paths with more parts come before those that would match them too."""

OPENAI_CHAT = Operation(
    "POST",
    "/v1/chat/completions",
    "chat.completions.create",
    "ChatCompletion",
    "response",
    _names(
        "model messages max_tokens stream temperature top_p stop frequency_penalty presence_penalty seed n logprobs "
        "top_logprobs response_format tools tool_choice parallel_tool_calls"
    ),
    _names("model messages"),
    Reply.COMPLETION,
)
"""Chat with OpenAI's client, in the dialects of its API."""
