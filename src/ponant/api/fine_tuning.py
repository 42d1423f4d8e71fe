"""``/v1/fine_tuning``: training jobs, and the models that they make."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ponant.api.base import RequestModel, ResponseModel
from ponant.api.limits import AtMost
from ponant.api.numbers import LARGEST_COUNT, Weight, Whole

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

Name = Annotated[str, Field(max_length=1000)]
Uuid = Annotated[str, Field(json_schema_extra={"format": "uuid"})]


class TrainingFile(RequestModel):
    """A training file, and the weight of its samples relative to those of the other files."""

    file_id: Uuid
    weight: Weight = 1.0


def _from_id(file: Any) -> Any:
    """Return the training file with an id, as older requests name it."""
    return {"file_id": file} if isinstance(file, str) else file


class CompletionTrainingParametersIn(RequestModel):
    """Training parameters of a new job.

    Attributes:
        training_steps: number of steps; takes precedence over ``epochs``.
        learning_rate: peak learning rate.
        weight_decay: weight decay of AdamW.
        warmup_fraction: fraction of the steps during which the learning rate rises.
        epochs: passes over all samples; 3 if neither this nor ``training_steps`` is given.
        seq_len: length of a training sequence, in tokens.
        fim_ratio: fraction of the code samples that are trained as fill-in-the-middle.
    """

    training_steps: Annotated[int, Field(ge=1, le=10**9), Whole] | None = None
    learning_rate: float = Field(default=1e-4, ge=1e-8, le=1)
    weight_decay: float | None = Field(default=0.1, ge=0, le=1)
    warmup_fraction: float | None = Field(default=0.05, ge=0, le=1)
    epochs: Annotated[float, Field(gt=0, le=10**6)] | None = None
    seq_len: Annotated[int, Field(ge=100, le=LARGEST_COUNT), Whole] | None = None
    fim_ratio: float | None = Field(default=0.9, ge=0, le=1)


class WandbIntegration(RequestModel):
    """Weights & Biases, to which the metrics of a job are also sent."""

    type: Literal["wandb"] = "wandb"
    project: Name
    name: Name | None = None
    api_key: str = Field(min_length=40, max_length=40)
    run_name: Name | None = None


class GithubRepositoryIn(RequestModel):
    """A repository with training data. It is part of the API, but this server refuses it."""

    type: Literal["github"] = "github"
    name: str
    owner: str
    ref: str | None = None
    weight: Weight = 1.0
    token: str


class JobIn(RequestModel):
    """A new fine-tuning job.

    Attributes:
        model: model to train: any name of a served base model.
        training_files: training data; a file may also be given as its id.
        validation_files: ids of the files for validation.
        suffix: part of the new model's name.
        integrations: services that also receive the metrics.
        auto_start: true to start the job after the validation of its files; else it waits for a call.
        invalid_sample_skip_percentage: largest fraction of invalid lines, 0 to 0.5, that are skipped.
        job_type: ``completion``; classifiers are refused.
        hyperparameters: training parameters.
        repositories, classifier_targets: refused unless empty.
    """

    model: str
    training_files: Annotated[list[Annotated[TrainingFile, BeforeValidator(_from_id)]], AtMost("items")] = Field(
        default=[]
    )
    validation_files: Annotated[list[Uuid], AtMost("items")] | None = None
    suffix: str | None = Field(default=None, max_length=18)
    integrations: Annotated[list[WandbIntegration], AtMost("items")] | None = None
    auto_start: bool = True
    invalid_sample_skip_percentage: float = Field(default=0, ge=0, le=0.5)
    job_type: Literal["completion", "classifier"] | None = None
    hyperparameters: CompletionTrainingParametersIn
    repositories: Annotated[list[GithubRepositoryIn], AtMost("items")] | None = None
    classifier_targets: Annotated[list[Any], AtMost("items")] | None = None


class CompletionTrainingParameters(ResponseModel):
    """Training parameters of a job, as requested. After the validation of the files, none of them is null."""

    training_steps: int | None = None
    learning_rate: float = 1e-4
    weight_decay: float | None = 0.1
    warmup_fraction: float | None = 0.05
    epochs: float | None = None
    seq_len: int | None = None
    fim_ratio: float | None = 0.9


class WandbIntegrationOut(ResponseModel):
    """Weights & Biases project of a job's metrics, without the key."""

    type: Literal["wandb"] = "wandb"
    project: str
    name: str | None = None
    run_name: str | None = None
    url: str | None = None


class JobMetadataOut(ResponseModel):
    """Estimates of a job. Durations are in seconds, times in seconds since the epoch. There is no cost."""

    expected_duration_seconds: int | None = None
    cost: float | None = None
    cost_currency: str | None = None
    train_tokens_per_step: int | None = None
    train_tokens: int | None = None
    data_tokens: int | None = None
    estimated_start_time: int | None = None


class LegacyJobMetadataOut(JobMetadataOut):
    """Estimates of a job: the response to a dry run."""

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
        fine_tuned_model: id of the resulting model.
        trained_tokens: number of tokens trained so far.
        metadata: estimates; null values before the validation of the files.
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
    """An event of a job. ``created_at`` is in seconds since the epoch."""

    name: str
    data: dict[str, Any] | None = None
    created_at: int


class MetricOut(ResponseModel):
    """Mean losses per trained token, in nats, and the fraction of tokens that were the most likely one."""

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
    """A page of jobs, the newest first. ``total`` is the number of jobs on all pages."""

    data: list[CompletionJobOut] = Field(default=[])
    object: Literal["list"] = "list"
    total: int


class UpdateFTModelIn(RequestModel):
    """New name or description of a fine-tuned model. Missing fields stay unchanged."""

    name: Name | None = None
    description: Annotated[str, Field(max_length=10_000)] | None = None


class FTModelCapabilitiesOut(ResponseModel):
    """Capabilities of a fine-tuned model."""

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
    """An archived model: it refuses requests until it is unarchived."""

    id: str
    object: Literal["model"] = "model"
    archived: bool = True


class UnarchiveFTModelOut(ResponseModel):
    """An unarchived model: it accepts requests again."""

    id: str
    object: Literal["model"] = "model"
    archived: bool = False
