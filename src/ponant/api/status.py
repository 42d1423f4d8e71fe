"""``/v1/status``: what a server does at present. It is an addition to the Mistral API."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ponant.api.base import ResponseModel

Bytes = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class MachineStatus(ResponseModel):
    """The machine of the server."""

    cores: int = Field(description="Physical processor cores that the server may use.", examples=[8])
    memory: Bytes = Field(description="Memory of the machine, or of its control group, in bytes.")
    memory_available: Bytes = Field(description="Memory that is free or can be freed, in bytes.")


class CacheStatus(ResponseModel):
    """The KV cache of a model, in tokens."""

    cells: int = Field(description="Tokens that the cache holds.", examples=[32768])
    used: int = Field(description="Tokens of running sequences.", examples=[1200])
    kept: int = Field(description="Tokens that only finished sequences use. Others take their place when needed.")
    stored: int = Field(description="Tokens of finished sequences that were moved out of the cache.")


class TokenTotals(ResponseModel):
    """Totals of a model since the start of the server."""

    requests: int = Field(description="Requests that the model has answered, whole or in part.", examples=[12])
    prompt_tokens: int = Field(description="Tokens of their prompts.", examples=[4200])
    cached_tokens: int = Field(description="Tokens of their prompts that were taken from the cache.", examples=[2700])
    completion_tokens: int = Field(description="Tokens that were generated.", examples=[910])


class ModelStatus(ResponseModel):
    """A served model. Fields without a value are null."""

    id: str = Field(description="Id of the model.", examples=["smollm2"])
    kind: Literal["chat", "fim", "embed"] = Field(description="Main task of the model.")
    is_default: bool = Field(description="True for the model of requests that name none.")
    aliases: list[str] = Field(description="Further names.")
    abilities: list[str] = Field(description="Abilities: `chat`, `tools`, `fim`, `embeddings`, `fine-tuning`.")
    state: str = Field(
        description="`ready`, `loading`, `unloaded` (it is loaded by its first request), `starting`, `restarting` or "
        "`stopped`.",
    )
    error: str | None = Field(default=None, description="Reason why the model is not ready.")
    context: int | None = Field(default=None, description="Longest sequence in tokens; an estimate before the load.")
    device: str | None = Field(default=None, description="Hardware that computes.", examples=["CPU, 8 threads"])
    memory: Bytes | None = Field(default=None, description="Memory in bytes; an estimate before the load.")
    running: int = Field(default=0, description="Sequences that are computed.")
    places: int | None = Field(default=None, description="Sequences that can be computed at once.")
    waiting: int = Field(default=0, description="Requests in the queue.")
    tokens_per_second: float | None = Field(
        default=None, description="Tokens generated per second, over the last seconds; null at the first question."
    )
    cache: CacheStatus | None = Field(default=None, description="The KV cache.")
    totals: TokenTotals = Field(description="Totals since the start of the server.")


class FineTunedStatus(ResponseModel):
    """A fine-tuned model."""

    id: str = Field(description="Id of the model.", examples=["ft:smollm2:captain:20261121:beb88335"])
    base: str = Field(description="Id of its base model.", examples=["smollm2"])
    job: str = Field(description="Id of the job that made it.")
    archived: bool = Field(description="True if the model refuses requests.")
    is_loaded: bool = Field(description="True if its adapter is loaded; else its next request loads it.")
    totals: TokenTotals = Field(description="Totals since the start of the server.")


class RequestStatus(ResponseModel):
    """A request that has ended, without its texts. Fields without a value are null."""

    id: str = Field(description="Id of the request: the `x-request-id` of its response.")
    created: float = Field(description="Time of its arrival, in seconds since the epoch.")
    method: str = Field(description="HTTP method.", examples=["POST"])
    route: str = Field(description="Path of the API.", examples=["/v1/chat/completions"])
    dialect: str = Field(description="Dialect of the API.", examples=["mistral"])
    model: str | None = Field(default=None, description="Id of the model that answered, or the name that was sent.")
    stream: bool = Field(description="True for an answer as a stream.")
    n: int = Field(description="Number of choices.")
    schema_: bool = Field(serialization_alias="schema", description="True if the answer had to be JSON.")
    tools: int = Field(description="Number of tools.")
    status: int = Field(description="HTTP status; of a failed stream that of its error; 499 if the client left.")
    prompt_tokens: int | None = Field(default=None, description="Tokens of the prompt.")
    cached_tokens: int | None = Field(default=None, description="Tokens of the prompt that were taken from the cache.")
    completion_tokens: int | None = Field(default=None, description="Tokens of all choices.")
    first_token_ms: float | None = Field(default=None, description="Milliseconds from its arrival to the first token.")
    ms: float = Field(description="Milliseconds from its arrival to the end of the response.")


class JobStatusNow(ResponseModel):
    """A fine-tuning job and its progress."""

    id: str = Field(description="Id of the job.")
    model: str = Field(description="Name of the base model.")
    status: str = Field(description="Status, as in `/v1/fine_tuning/jobs`.", examples=["RUNNING"])
    suffix: str | None = Field(default=None, description="Part of the new model's name.")
    created_at: int = Field(description="Time of its creation, in seconds since the epoch.")
    modified_at: int = Field(description="Time of the last change of its status, in seconds since the epoch.")
    fine_tuned_model: str | None = Field(default=None, description="Id of the resulting model.")
    progress: dict[str, Any] | None = Field(
        default=None,
        description="The last step: `step`, `steps`, `loss`, `learning_rate`, `tokens_per_second`, `eta_seconds`.",
    )


class FilesStatus(ResponseModel):
    """The uploaded files."""

    count: int = Field(description="Number of files.")
    bytes: Bytes = Field(description="Bytes of all files.")


class ServerStatus(ResponseModel):
    """State of a server at present."""

    object: Literal["status"] = "status"
    version: str = Field(description="Version of Ponant.", examples=["0.1.0"])
    state: Literal["ready", "not ready", "stopping"] = Field(description="As in `/ready`.")
    now: float = Field(description="Time of the server, in seconds since the epoch.")
    started: float = Field(description="Time of its start, in seconds since the epoch.")
    machine: MachineStatus = Field(description="The machine.")
    models: list[ModelStatus] = Field(description="The served models, in the order of the settings.")
    fine_tuned: list[FineTunedStatus] = Field(description="The fine-tuned models.")
    requests: list[RequestStatus] = Field(
        description="The last requests, the newest first: those that compute, change or download something."
    )
    jobs: list[JobStatusNow] | None = Field(
        description="The last fine-tuning jobs, the newest first; null while the storage cannot be read."
    )
    files: FilesStatus | None = Field(description="The files; null while the storage cannot be read.")
