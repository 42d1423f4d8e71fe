"""Fine-tuning jobs."""

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
"""Final states of a job."""

_PATH = "/v1/fine_tuning/jobs"


class JobParameters(OptionParameters, total=False):
    """Parameters of ``create``, except ``dry_run``; see there."""

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
    """Signature of ``create`` for type checkers: the type of the result depends on ``dry_run``."""

    @overload
    def __call__(self, *, dry_run: Literal[True], **parameters: Unpack[JobParameters]) -> Plan_co: ...

    @overload
    def __call__(self, *, dry_run: Literal[False] | None = None, **parameters: Unpack[JobParameters]) -> Job_co: ...


class FineTuningJobs(Resource):
    """Fine-tuning jobs of a server."""

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
        """List the jobs, newest first, without their events and checkpoints.

        Args:
            page: Number of the page, from 0.
            page_size: Jobs per page.
            model: Base model of the jobs to list.
            created_after: Time after which the jobs were created.
            created_before: Time before which the jobs were created.
            created_by_me: True to list only the caller's jobs. Ponant's server has one user, so it has no effect there.
            status: State of the jobs to list.
            wandb_project: Weights & Biases project of the jobs to list.
            wandb_name: Weights & Biases run name of the jobs to list.
            suffix: Suffix of the jobs to list.

        Returns:
            A page of jobs.

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
        """Create a fine-tuning job.

        The server's defaults apply to parameters that are UNSET, or None if that is their default.

        Args:
            model: Name of the model to train.
            hyperparameters: Hyperparameters: `training_steps` or `epochs`, `learning_rate`, `weight_decay`,
                `warmup_fraction`, `seq_len`, `fim_ratio`. Each has a default.
            training_files: Uploaded files with the training samples: `file_id`, and `weight` for the relative frequency
                of the file's samples.
            validation_files: Ids of uploaded files with the validation samples.
            suffix: Part of the new model's name, at most 18 characters.
            integrations: Services that receive the metrics: Weights & Biases.
            auto_start: False to start the job with `start`; by default, it starts when its files are validated.
            invalid_sample_skip_percentage: Maximum share of invalid lines, which are skipped, from 0 to 0.5.
            job_type: `completion`. Ponant's server trains no classifiers.
            repositories: Repositories with training data. Ponant's server refuses them.
            classifier_targets: Targets of a classifier. Ponant's server refuses them.
            dry_run: True to create no job, and to return a `LegacyJobMetadataOut` with the tokens, steps and expected
                duration.

        Returns:
            The job; for a dry run, its estimate.

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
        """Describe a job, with its events and checkpoints, newest first.

        Args:
            job_id: Id of the job.

        Returns:
            The job.

        Raises:
            SDKError: The job does not exist (404), or the server refused the request or failed.
        """
        return Call("GET", _path(job_id), _read_job, Options(**options))

    def _cancel(self, *, job_id: str, **options: Unpack[OptionParameters]) -> Call[CompletionDetailedJobOut]:
        """Cancel a job, which ends after its current step.

        Args:
            job_id: Id of the job.

        Returns:
            The job.

        Raises:
            SDKError: The job does not exist (404), has already ended (400), or the server failed.
        """
        return Call("POST", f"{_path(job_id)}/cancel", _read_job, Options(**options))

    def _start(self, *, job_id: str, **options: Unpack[OptionParameters]) -> Call[CompletionDetailedJobOut]:
        """Start a job that was created with `auto_start=False`.

        Args:
            job_id: Id of the job.

        Returns:
            The job.

        Raises:
            SDKError: The job does not exist (404), is not waiting for its start (400), or the server failed.
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
        """Wait until a job succeeds, fails or is cancelled.

        A job created with `auto_start=False` has to be started first.

        Args:
            job_id: Id of the job.
            poll_ms: Time between two requests for the job, in milliseconds.
            on_change: Function called with the job after the first request, and after each request that shows a change.
            **options: Options of each request, as for `get`.

        Returns:
            The ended job; its `status` is the outcome.

        Raises:
            SDKError: The job does not exist (404), or the server failed. Other errors as for `get`.
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
        """Wait until a job succeeds, fails or is cancelled; see `wait`."""
        watch = _Watch(on_change)
        while True:
            job = await self.get_async(job_id=job_id, **options)
            if watch.has_ended(job):
                return job
            await asyncio.sleep(poll_ms / 1000)


class FineTuning(Resource):
    """Fine-tuning of models."""

    @cached_property
    def jobs(self) -> FineTuningJobs:
        """Fine-tuning jobs: ``create``, ``list``, ``get``, ``start``, ``cancel``, ``wait``."""
        return FineTuningJobs(self._transport)


class _Watch:
    """Observer of a job's changes."""

    def __init__(self, on_change: OnChange | None) -> None:
        self._on_change = on_change
        self._seen: CompletionDetailedJobOut | None = None

    def has_ended(self, job: CompletionDetailedJobOut) -> bool:
        """Report a change of the job, and return True if the job has ended."""
        if self._on_change and job != self._seen:
            self._on_change(job)
        self._seen = job
        return job.status in ENDS


def _path(job_id: str) -> str:
    return f"{_PATH}/{quote(job_id, safe='')}"


_read_job = reader(CompletionDetailedJobOut)
