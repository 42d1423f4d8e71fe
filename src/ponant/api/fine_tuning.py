"""``/v1/fine_tuning``: jobs that train models, and what is told of the models that they made."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ponant.api.base import RequestModel, ResponseModel

JobStatus = Literal[
    "QUEUED",
    "STARTED",
    "VALIDATING",
    "VALIDATED",
    "RUNNING",
    "FAILED_VALIDATION",
    "FAILED",
    "SUCCESS",
    "CANCELLED",
    "CANCELLATION_REQUESTED",
]

Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class TrainingFile(RequestModel):
    """A file to learn from, and how often its samples are seen beside those of the other files."""

    file_id: Uuid
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class CompletionTrainingParametersIn(RequestModel):
    """How to train.

    Attributes:
        training_steps: how many steps; stronger than ``epochs``.
        learning_rate: at its peak.
        weight_decay: of AdamW.
        warmup_fraction: share of the steps in which the learning rate rises.
        epochs: how often every sample is seen; 3 if neither this nor ``training_steps`` is given.
        seq_len: tokens of a training sequence.
        fim_ratio: share of the samples of code that are turned into fill-in-the-middle.
    """

    training_steps: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=1e-4, ge=1e-8, le=1)
    weight_decay: float | None = Field(default=0.1, ge=0, le=1)
    warmup_fraction: float | None = Field(default=0.05, ge=0, le=1)
    epochs: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    seq_len: int | None = Field(default=None, ge=100)
    fim_ratio: float | None = Field(default=0.9, ge=0, le=1)


class WandbIntegration(RequestModel):
    """Weights & Biases: where the metrics of a job are kept as well."""

    type: Literal["wandb"] = "wandb"
    project: str
    name: str | None = None
    api_key: str = Field(min_length=40, max_length=40)
    run_name: str | None = None


class GithubRepositoryIn(RequestModel):
    """A repository to learn from; refused, but known."""

    type: Literal["github"] = "github"
    name: str
    owner: str
    ref: str | None = None
    weight: float = Field(default=1.0, gt=0)
    token: str


class JobIn(RequestModel):
    """A fine-tuning job to be created.

    Attributes:
        model: which model to train; any name of a base model that is served.
        training_files: what to learn from.
        validation_files: ids of the files to measure by.
        suffix: a part of the new model's name.
        integrations: who else gets the metrics.
        auto_start: whether the job is run once its files are validated, or waits to be started.
        invalid_sample_skip_percentage: share of bad lines, 0 to 0.5, that are skipped.
        job_type: ``completion``; classifiers are refused.
        hyperparameters: how to train.
        repositories, classifier_targets: refused unless empty.
    """

    model: str
    training_files: list[TrainingFile] = Field(default=[])
    validation_files: list[Uuid] | None = None
    suffix: str | None = Field(default=None, max_length=18)
    integrations: list[WandbIntegration] | None = None
    auto_start: bool = True
    invalid_sample_skip_percentage: float = Field(default=0, ge=0, le=0.5)
    job_type: Literal["completion", "classifier"] | None = None
    hyperparameters: CompletionTrainingParametersIn
    repositories: list[GithubRepositoryIn] | None = None
    classifier_targets: list[Any] | None = None


class CompletionTrainingParameters(ResponseModel):
    """How a job trains, as it was asked for."""

    training_steps: int | None = None
    learning_rate: float = 1e-4
    weight_decay: float | None = 0.1
    warmup_fraction: float | None = 0.05
    epochs: float | None = None
    seq_len: int | None = None
    fim_ratio: float | None = 0.9


class WandbIntegrationOut(ResponseModel):
    """Where the metrics of a job are kept as well; never the key."""

    type: Literal["wandb"] = "wandb"
    project: str
    name: str | None = None
    run_name: str | None = None
    url: str | None = None


class JobMetadataOut(ResponseModel):
    """What a job will take. Durations in seconds, times in seconds since the epoch; it costs nothing."""

    expected_duration_seconds: int | None = None
    cost: float | None = None
    cost_currency: str | None = None
    train_tokens_per_step: int | None = None
    train_tokens: int | None = None
    data_tokens: int | None = None
    estimated_start_time: int | None = None


class LegacyJobMetadataOut(JobMetadataOut):
    """What a job would take: the answer to a dry run."""

    deprecated: bool = True
    details: str
    epochs: float | None = None
    training_steps: int | None = None
    object: Literal["job.metadata"] = "job.metadata"


class CompletionJobOut(ResponseModel):
    """A job.

    Attributes:
        created_at, modified_at: in seconds since the epoch.
        training_files, validation_files: ids.
        fine_tuned_model: the id of the model that it made.
        trained_tokens: tokens that it has learned from.
        metadata: what it will take, once its files are validated.
    """

    id: Uuid
    auto_start: bool
    model: str
    status: JobStatus
    created_at: int
    modified_at: int
    training_files: list[Uuid]
    validation_files: list[Uuid] | None = Field(default=[])
    object: Literal["job"] = "job"
    fine_tuned_model: str | None = None
    suffix: str | None = None
    integrations: list[WandbIntegrationOut] | None = None
    trained_tokens: int | None = None
    metadata: JobMetadataOut | None = None
    job_type: Literal["completion"] = "completion"
    hyperparameters: CompletionTrainingParameters
    repositories: list[Any] = Field(default=[])


class EventOut(ResponseModel):
    """Something that happened to a job, in seconds since the epoch."""

    name: str
    data: dict[str, Any] | None = None
    created_at: int


class MetricOut(ResponseModel):
    """Mean losses per learned token, in nats, and the share of tokens that were the most likely one."""

    train_loss: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None


class CheckpointOut(ResponseModel):
    """The state of a job after a step."""

    metrics: MetricOut
    step_number: int
    created_at: int


class CompletionDetailedJobOut(CompletionJobOut):
    """A job with its events and checkpoints, the newest first."""

    events: list[EventOut] = Field(default=[])
    checkpoints: list[CheckpointOut] = Field(default=[])


class JobsOut(ResponseModel):
    """A page of the jobs, the newest first; ``total`` counts those on all pages."""

    data: list[CompletionJobOut] = Field(default=[])
    object: Literal["list"] = "list"
    total: int


class UpdateFTModelIn(RequestModel):
    """What is to be told of a fine-tuned model from now on; what is not given stays."""

    name: str | None = None
    description: str | None = None


class FTModelCapabilitiesOut(ResponseModel):
    """What a fine-tuned model can be asked for."""

    completion_chat: bool = True
    completion_fim: bool = False
    function_calling: bool = False
    fine_tuning: bool = False
    classification: bool = False


class CompletionFTModelOut(ResponseModel):
    """A fine-tuned model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    workspace_id: str
    root: str
    root_version: str
    archived: bool
    name: str | None = None
    description: str | None = None
    capabilities: FTModelCapabilitiesOut
    max_context_length: int = 32768
    aliases: list[str] = Field(default=[])
    job: Uuid
    model_type: Literal["completion"] = "completion"


class ArchiveFTModelOut(ResponseModel):
    """A fine-tuned model that answers nothing until it is unarchived."""

    id: str
    object: Literal["model"] = "model"
    archived: bool = True


class UnarchiveFTModelOut(ResponseModel):
    """A fine-tuned model that answers again."""

    id: str
    object: Literal["model"] = "model"
    archived: bool = False
