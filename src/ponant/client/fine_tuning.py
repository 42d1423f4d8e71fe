"""``fine_tuning``: jobs that train models."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, Protocol, Required, TypeAlias, TypeVar, cast, overload
from urllib.parse import quote

from typing_extensions import Unpack

from ponant.api.fine_tuning import (
    CompletionDetailedJobOut,
    CompletionJobOut,
    CompletionTrainingParametersIn,
    GithubRepositoryIn,
    JobsOut,
    JobStatus,
    LegacyJobMetadataOut,
    TrainingFile,
    WandbIntegration,
)
from ponant.client.call import Call, OptionParameters, Options, fields
from ponant.client.lenient import reader
from ponant.client.resource import Resource, answered, answered_async
from ponant.client.unset import UNSET, OptionalNullable

Object: TypeAlias = Mapping[str, Any]
JobType: TypeAlias = Literal["completion", "classifier"]
OnChange: TypeAlias = Callable[[CompletionDetailedJobOut], object]

ENDS: frozenset[str] = frozenset({"SUCCESS", "FAILED", "FAILED_VALIDATION", "CANCELLED"})
"""The states in which a job stays."""

_PATH = "/v1/fine_tuning/jobs"


class JobParameters(OptionParameters, total=False):
    """What ``create`` takes besides ``dry_run``; it says what it means."""

    model: Required[str]
    hyperparameters: Required[CompletionTrainingParametersIn | Object]
    training_files: Iterable[TrainingFile | Object] | None
    validation_files: OptionalNullable[Iterable[str]]
    suffix: OptionalNullable[str]
    integrations: OptionalNullable[Iterable[WandbIntegration | Object]]
    auto_start: bool | None
    invalid_sample_skip_percentage: float | None
    job_type: OptionalNullable[JobType]
    repositories: OptionalNullable[Iterable[GithubRepositoryIn | Object]]
    classifier_targets: OptionalNullable[Iterable[Object]]


Job_co = TypeVar("Job_co", covariant=True)
Plan_co = TypeVar("Plan_co", covariant=True)


class _Create(Protocol[Job_co, Plan_co]):
    """``create``, for type checkers: what it gives depends on ``dry_run``."""

    @overload
    def __call__(self, *, dry_run: Literal[True], **parameters: Unpack[JobParameters]) -> Plan_co: ...

    @overload
    def __call__(self, *, dry_run: Literal[False] | None = None, **parameters: Unpack[JobParameters]) -> Job_co: ...


class FineTuningJobs(Resource):
    """Jobs that train models."""

    def _list(
        self,
        *,
        page: int | None = 0,
        page_size: int | None = 100,
        model: OptionalNullable[str] = UNSET,
        created_after: OptionalNullable[datetime] = UNSET,
        created_before: OptionalNullable[datetime] = UNSET,
        created_by_me: bool | None = False,
        status: OptionalNullable[JobStatus] = UNSET,
        wandb_project: OptionalNullable[str] = UNSET,
        wandb_name: OptionalNullable[str] = UNSET,
        suffix: OptionalNullable[str] = UNSET,
        **options: Unpack[OptionParameters],
    ) -> Call[JobsOut]:
        """List the jobs, the newest first, without their events and checkpoints.

        Args:
            page: Which page, from 0 on.
            page_size: Jobs on a page.
            model: Only jobs that train this model.
            created_after: Only jobs that were created after this.
            created_before: Only jobs that were created before this.
            created_by_me: Only jobs of whoever asks. A server of Ponant's has one user, so that it makes no difference.
            status: Only jobs in this state.
            wandb_project: Only jobs with this project at Weights & Biases.
            wandb_name: Only jobs with this name at Weights & Biases.
            suffix: Only jobs with this suffix.

        Raises:
            HTTPValidationError: The server refused a filter (422).
            SDKError: The server refused the request or failed.
        """
        query = fields(
            nullable={},
            optional={
                "page": page,
                "page_size": page_size,
                "model": model,
                "created_after": created_after,
                "created_before": created_before,
                "created_by_me": created_by_me,
                "status": status,
                "wandb_project": wandb_project,
                "wandb_name": wandb_name,
                "suffix": suffix,
            },
        )
        return Call("GET", _PATH, reader(JobsOut), Options(**options), query=query)

    def _create(
        self,
        *,
        model: str,
        hyperparameters: CompletionTrainingParametersIn | Object,
        training_files: Iterable[TrainingFile | Object] | None = None,
        validation_files: OptionalNullable[Iterable[str]] = UNSET,
        suffix: OptionalNullable[str] = UNSET,
        integrations: OptionalNullable[Iterable[WandbIntegration | Object]] = UNSET,
        auto_start: bool | None = None,
        invalid_sample_skip_percentage: float | None = 0,
        job_type: OptionalNullable[JobType] = UNSET,
        repositories: OptionalNullable[Iterable[GithubRepositoryIn | Object]] = UNSET,
        classifier_targets: OptionalNullable[Iterable[Object]] = UNSET,
        dry_run: bool | None = None,
        **options: Unpack[OptionParameters],
    ) -> Call[CompletionJobOut | LegacyJobMetadataOut]:
        """Create a job that trains a model.

        Parameters that are UNSET (or None, where that is their default) are left to the server.

        Args:
            model: Name of the model to train.
            hyperparameters: How to train it: `training_steps` or `epochs`, `learning_rate`, `weight_decay`,
                `warmup_fraction`, `seq_len`, `fim_ratio`. Each has a default.
            training_files: Uploaded files to learn from: `file_id`, and `weight` for how often their samples are seen
                beside those of the other files.
            validation_files: Ids of uploaded files to measure by.
            suffix: A part of the new model's name, up to 18 characters.
            integrations: Who else gets the metrics: Weights & Biases.
            auto_start: Whether the job runs once its files are validated, as it does by default, or waits for `start`.
            invalid_sample_skip_percentage: Share of bad lines, from 0 to 0.5, that are skipped.
            job_type: `completion`; a server of Ponant's trains no classifiers.
            repositories: Repositories to learn from; a server of Ponant's refuses them.
            classifier_targets: What a classifier learns; a server of Ponant's refuses them.
            dry_run: Whether the job is only reckoned: nothing is created, and the answer is a `LegacyJobMetadataOut`
                with its tokens, steps and expected duration.

        Returns:
            The job; for a dry run, what it would take.

        Raises:
            HTTPValidationError: The server refused a field (422).
            SDKError: The server refused the request, such as for an unknown model or file (400, 404), or failed.
        """
        body = fields(
            nullable={
                "validation_files": validation_files,
                "suffix": suffix,
                "integrations": integrations,
                "job_type": job_type,
                "repositories": repositories,
                "classifier_targets": classifier_targets,
            },
            optional={
                "model": model,
                "hyperparameters": hyperparameters,
                "training_files": training_files,
                "auto_start": auto_start,
                "invalid_sample_skip_percentage": invalid_sample_skip_percentage,
            },
        )
        query = fields(nullable={}, optional={"dry_run": dry_run})
        read = reader(LegacyJobMetadataOut) if dry_run else reader(CompletionJobOut)
        return Call("POST", _PATH, read, Options(**options), body, query)

    def _get(self, *, job_id: str, **options: Unpack[OptionParameters]) -> Call[CompletionDetailedJobOut]:
        """Describe a job, with its events and checkpoints, the newest first.

        Args:
            job_id: Its id.

        Raises:
            SDKError: There is no such job (404), or the server refused the request or failed.
        """
        return Call("GET", _path(job_id), _read_job, Options(**options))

    def _cancel(self, *, job_id: str, **options: Unpack[OptionParameters]) -> Call[CompletionDetailedJobOut]:
        """Ask for the end of a job. It ends after its current step.

        Args:
            job_id: Its id.

        Raises:
            SDKError: There is no such job (404), it is at its end already (400), or the server failed.
        """
        return Call("POST", f"{_path(job_id)}/cancel", _read_job, Options(**options))

    def _start(self, *, job_id: str, **options: Unpack[OptionParameters]) -> Call[CompletionDetailedJobOut]:
        """Start a job that was created with `auto_start=False`.

        Args:
            job_id: Its id.

        Raises:
            SDKError: There is no such job (404), it does not wait for its start (400), or the server failed.
        """
        return Call("POST", f"{_path(job_id)}/start", _read_job, Options(**options))

    list = answered(_list)
    list_async = answered_async(_list)
    create: _Create[CompletionJobOut, LegacyJobMetadataOut] = cast("Any", answered(_create))
    create_async: _Create[Coroutine[Any, Any, CompletionJobOut], Coroutine[Any, Any, LegacyJobMetadataOut]] = cast(
        "Any", answered_async(_create)
    )
    get = answered(_get)
    get_async = answered_async(_get)
    cancel = answered(_cancel)
    cancel_async = answered_async(_cancel)
    start = answered(_start)
    start_async = answered_async(_start)

    def wait(
        self,
        job_id: str,
        *,
        poll_ms: int = 1000,
        on_change: OnChange | None = None,
        **options: Unpack[OptionParameters],
    ) -> CompletionDetailedJobOut:
        """Wait for the end of a job, however it ends; its `status` says how.

        A job that was created with `auto_start=False` does not end before it was started.

        Args:
            job_id: The job's id.
            poll_ms: Milliseconds between two looks at it.
            on_change: Called with the job at the first look, and whenever it is not what it was at the last one.
            **options: As for `get`, for each look.

        Raises:
            SDKError: There is no such job (404), or the server failed. Otherwise as `get`.
        """
        watch = _Watch(on_change)
        while True:
            job = self.get(job_id=job_id, **options)
            if watch.has_ended(job):
                return job
            time.sleep(poll_ms / 1000)

    async def wait_async(
        self,
        job_id: str,
        *,
        poll_ms: int = 1000,
        on_change: OnChange | None = None,
        **options: Unpack[OptionParameters],
    ) -> CompletionDetailedJobOut:
        """As `wait`."""
        watch = _Watch(on_change)
        while True:
            job = await self.get_async(job_id=job_id, **options)
            if watch.has_ended(job):
                return job
            await asyncio.sleep(poll_ms / 1000)


class FineTuning(Resource):
    """Fine-tuning."""

    @cached_property
    def jobs(self) -> FineTuningJobs:
        """Jobs that train models."""
        return FineTuningJobs(self._transport)


class _Watch:
    """Tells what changes between looks at a job."""

    def __init__(self, on_change: OnChange | None) -> None:
        self._on_change = on_change
        self._seen: CompletionDetailedJobOut | None = None

    def has_ended(self, job: CompletionDetailedJobOut) -> bool:
        """Take a look: tell what has changed, and whether the job is at its end."""
        if self._on_change and job != self._seen:
            self._on_change(job)
        self._seen = job
        return job.status in ENDS


def _path(job_id: str) -> str:
    return f"{_PATH}/{quote(job_id, safe='')}"


_read_job = reader(CompletionDetailedJobOut)
