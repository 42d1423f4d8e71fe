"""``/v1/fine_tuning``: jobs, and their fine-tuned models."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.convertors import PathConvertor, register_url_convertor

from ponant.api.fine_tuning import (
    ArchiveFTModelOut,
    CheckpointOut,
    CompletionDetailedJobOut,
    CompletionFTModelOut,
    CompletionJobOut,
    CompletionTrainingParameters,
    EventOut,
    FTModelCapabilitiesOut,
    JobIn,
    JobMetadataOut,
    JobsOut,
    JobStatus,
    LegacyJobMetadataOut,
    MetricOut,
    UnarchiveFTModelOut,
    UpdateFTModelIn,
    WandbIntegrationOut,
)
from ponant.catalog.catalog import Catalog, UnknownModelError
from ponant.catalog.spec import FineTunedSpec
from ponant.errors import InvalidRequestError
from ponant.fine_tuning.registry import ModelRegistry
from ponant.fine_tuning.runs import plan_of
from ponant.fine_tuning.service import FineTuningService
from ponant.server.callers import caller_of
from ponant.server.json_body import StrictJsonRoute
from ponant.server.pagination import After, Limit, PageNumber, PageSize, page_of
from ponant.server.request_record import record_of
from ponant.server.routes.models import OWNER, unknown_model
from ponant.storage.descriptions import FineTuningJobFilter
from ponant.storage.lazy import LazyStorage
from ponant.training.events import Validated

if TYPE_CHECKING:
    from ponant.storage.tables import FineTuningCheckpointRow, FineTuningEventRow, FineTuningJobRow


class _ModelIdConvertor(PathConvertor):
    """Ids of models, which may have slashes, at the end of a path."""

    regex = r".*(?<!/archive)"


register_url_convertor("model_id", _ModelIdConvertor())

JobIdPath = Annotated[str, Path(json_schema_extra={"format": "uuid"})]


def _refuse_numbers(text: Any) -> Any:
    """Refuse numbers, which pydantic reads as seconds since the epoch."""
    try:
        float(text)
    except (TypeError, ValueError):
        return text
    raise PydanticCustomError("datetime_parsing", "Input should be a date and a time, such as 2026-01-31T12:00:00Z")


Moment = Annotated[datetime, BeforeValidator(_refuse_numbers)]
_WORKSPACE = "default"
"""The only workspace."""
_NO_ESTIMATES = JobMetadataOut(**dict.fromkeys(JobMetadataOut.model_fields))
"""Metadata of a job whose files have not been validated."""


def fine_tuning_routes(service: FineTuningService, storage: LazyStorage) -> APIRouter:
    """Return the routes of jobs."""
    router = APIRouter(tags=["fine-tuning"], route_class=StrictJsonRoute)

    @router.get("/v1/fine_tuning/jobs", summary="List Fine Tuning Jobs", response_model_exclude_unset=True)
    async def list_jobs(  # noqa: PLR0917 - FastAPI gives them by name
        request: Request,
        page: PageNumber = 0,
        page_size: PageSize = 100,
        model: str | None = None,
        created_after: Moment | None = None,
        created_before: Moment | None = None,
        created_by_me: bool = False,
        status: JobStatus | None = None,
        wandb_project: str | None = None,
        wandb_name: str | None = None,
        suffix: str | None = None,
        after: After = None,
        limit: Limit = None,
    ) -> JobsOut:
        asked = page_of(page, page_size, after=after, limit=limit)
        wanted = FineTuningJobFilter(
            model=model,
            status=status,
            suffix=suffix,
            wandb_project=wandb_project,
            wandb_name=wandb_name,
            created_after=_seconds(created_after),
            created_before=_seconds(created_before),
        )
        found, total = await service.page(wanted, asked, caller_of(request.scope))
        return JobsOut(data=[CompletionJobOut(**_fields(job)) for job in found], object="list", total=total)

    @router.post(
        "/v1/fine_tuning/jobs",
        summary="Create Fine Tuning Job",
        response_model=CompletionJobOut | LegacyJobMetadataOut,
        response_model_exclude_unset=True,
    )
    async def create_job(
        request: Request, asked: JobIn, dry_run: bool | None = None
    ) -> CompletionJobOut | LegacyJobMetadataOut:
        caller = caller_of(request.scope)
        record_of(request.scope).describe(asked.model)
        if dry_run:
            return _metadata(await service.dry_run(asked, caller))
        return CompletionJobOut(**_fields(await service.create(asked, caller)))

    @router.get("/v1/fine_tuning/jobs/{job_id}", summary="Get Fine Tuning Job", response_model_exclude_unset=True)
    async def get_job(request: Request, job_id: JobIdPath) -> CompletionDetailedJobOut:
        return await detailed(await service.find(job_id, caller_of(request.scope)))

    @router.post(
        "/v1/fine_tuning/jobs/{job_id}/start", summary="Start Fine Tuning Job", response_model_exclude_unset=True
    )
    async def start_job(request: Request, job_id: JobIdPath) -> CompletionDetailedJobOut:
        return await detailed(await service.start(job_id, caller_of(request.scope)))

    @router.post(
        "/v1/fine_tuning/jobs/{job_id}/cancel", summary="Cancel Fine Tuning Job", response_model_exclude_unset=True
    )
    async def cancel_job(request: Request, job_id: JobIdPath) -> CompletionDetailedJobOut:
        return await detailed(await service.cancel(job_id, caller_of(request.scope)))

    async def detailed(job: "FineTuningJobRow") -> CompletionDetailedJobOut:
        events, checkpoints = await (await storage.open()).fine_tuning_jobs.history(job.id)
        return CompletionDetailedJobOut(**_fields(job), events=_events(events), checkpoints=_checkpoints(checkpoints))

    return router


def fine_tuned_routes(catalog: Catalog, registry: ModelRegistry) -> APIRouter:
    """Return the routes that change fine-tuned models."""
    router = APIRouter(tags=["fine-tuning"], route_class=StrictJsonRoute)

    @router.patch(
        "/v1/fine_tuning/models/{model_id:model_id}",
        summary="Update Fine Tuned Model",
        response_model=CompletionFTModelOut,
        response_model_exclude_unset=True,
    )
    async def update_model(
        request: Request, model_id: str, changes: UpdateFTModelIn
    ) -> CompletionFTModelOut | Response:
        given = changes.model_dump(exclude_none=True)
        for name, text in given.items():
            if "\0" in text:
                raise InvalidRequestError(f"The {name} contains a NUL character.", param=name)
        try:
            return _model(catalog, await registry.change(model_id, caller_of(request.scope), **given))
        except UnknownModelError as error:
            return unknown_model(error)

    @router.post(
        "/v1/fine_tuning/models/{model_id:path}/archive",
        summary="Archive Fine Tuned Model",
        response_model=ArchiveFTModelOut,
    )
    async def archive_model(request: Request, model_id: str) -> ArchiveFTModelOut | Response:
        try:
            await registry.change(model_id, caller_of(request.scope), archived=True)
        except UnknownModelError as error:
            return unknown_model(error)
        return ArchiveFTModelOut(id=model_id)

    @router.delete(
        "/v1/fine_tuning/models/{model_id:path}/archive",
        summary="Unarchive Fine Tuned Model",
        response_model=UnarchiveFTModelOut,
    )
    async def unarchive_model(request: Request, model_id: str) -> UnarchiveFTModelOut | Response:
        try:
            await registry.change(model_id, caller_of(request.scope), archived=False)
        except UnknownModelError as error:
            return unknown_model(error)
        return UnarchiveFTModelOut(id=model_id)

    return router


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _fields(job: "FineTuningJobRow") -> dict[str, Any]:
    from ponant.storage.fine_tuning_jobs import shown_status  # already imported by the storage

    return {
        "id": job.id,
        "auto_start": job.auto_start,
        "model": job.model,
        "status": shown_status(job),
        "created_at": job.created_at,
        "modified_at": job.modified_at,
        "training_files": [file["file_id"] for file in job.training_files],
        "validation_files": job.validation_files,
        "object": "job",
        "fine_tuned_model": job.fine_tuned_model,
        "suffix": job.suffix,
        "integrations": [WandbIntegrationOut(**one) for one in job.integrations],
        "trained_tokens": job.trained_tokens,
        "metadata": JobMetadataOut(**job.plan) if job.plan else _NO_ESTIMATES,
        "job_type": "completion",
        "hyperparameters": CompletionTrainingParameters(**job.hyperparameters),
        "repositories": [],
    }


def _events(events: Sequence["FineTuningEventRow"]) -> list[EventOut]:
    return [EventOut(name=event.name, data=event.data, created_at=event.created_at) for event in events]


def _checkpoints(checkpoints: Sequence["FineTuningCheckpointRow"]) -> list[CheckpointOut]:
    return [
        CheckpointOut(
            metrics=MetricOut(
                train_loss=checkpoint.train_loss,
                valid_loss=checkpoint.valid_loss,
                valid_mean_token_accuracy=checkpoint.valid_mean_token_accuracy,
            ),
            step_number=checkpoint.step_number,
            created_at=checkpoint.created_at,
        )
        for checkpoint in checkpoints
    ]


def _metadata(validated: Validated) -> LegacyJobMetadataOut:
    plan = validated.plan
    files = [*validated.training_files, *validated.validation_files]
    skipped = sum(file.invalid for file in files)
    details = f"{plan.steps} steps, from {sum(file.samples for file in validated.training_files)} samples"
    return LegacyJobMetadataOut(
        **plan_of(validated),
        deprecated=True,
        details=f"{details}; {skipped} invalid lines are skipped" if skipped else details,
        epochs=plan.epochs,
        training_steps=plan.steps,
        object="job.metadata",
    )


def _model(catalog: Catalog, spec: FineTunedSpec) -> CompletionFTModelOut:
    base = next((model for model in catalog.models if model.spec.id == spec.base), None)
    model = CompletionFTModelOut(
        id=spec.id,
        object="model",
        created=spec.created,
        owned_by=OWNER,
        workspace_id=_WORKSPACE,
        root=spec.root,
        root_version="",
        archived=spec.archived,
        name=spec.name,
        description=spec.description,
        capabilities=FTModelCapabilitiesOut(
            completion_chat=base is not None and base.chats,
            completion_fim=base is not None and base.facts.native_fim,
            function_calling=base is not None and base.calls_functions,
            fine_tuning=False,
            classification=False,
        ),
        aliases=[],
        job=spec.job,
        model_type="completion",
    )
    if base:
        model.max_context_length = base.facts.context
    return model
