"""``/v1/fine_tuning/jobs``: additions to the Mistral API, a verdict on the files and the history of the losses."""

from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter, Request
from msgspec import structs

from ponant.api.fine_tuning import JobIn
from ponant.api.job_reports import BadLineOut, FileVerdict, JobMetrics, JobVerdict, PlanOut
from ponant.fine_tuning.service import FineTuningService
from ponant.fine_tuning.verdict import Verdict
from ponant.server.callers import caller_of
from ponant.server.json_body import StrictJsonRoute
from ponant.server.request_record import record_of
from ponant.server.routes.fine_tuning import JobIdPath
from ponant.training.report import FileReport


def job_reports_routes(service: FineTuningService) -> APIRouter:
    """Return the routes of reports on jobs."""
    router = APIRouter(tags=["fine-tuning"], route_class=StrictJsonRoute, include_in_schema=False)

    @router.post("/v1/fine_tuning/jobs/verdict")
    async def verdict(request: Request, asked: JobIn) -> JobVerdict:
        record_of(request.scope).describe(asked.model)
        return _verdict(asked, await service.verdict(asked, caller_of(request.scope)))

    @router.get("/v1/fine_tuning/jobs/{job_id}/metrics")
    async def metrics(request: Request, job_id: JobIdPath) -> JobMetrics:
        losses = await service.losses(job_id, caller_of(request.scope))
        return JobMetrics(
            job_id=job_id, every=losses.every, train=list(losses.train), validation=list(losses.validation)
        )

    return router


def _verdict(asked: JobIn, verdict: Verdict) -> JobVerdict:
    return JobVerdict(
        accepted=verdict.refusal is None,
        message=verdict.refusal,
        files=[
            *_files("training", [file.file_id for file in asked.training_files], verdict.training_files),
            *_files("validation", asked.validation_files or [], verdict.validation_files),
        ],
        plan=PlanOut(**structs.asdict(verdict.plan)) if verdict.plan else None,
    )


def _files(
    kind: Literal["training", "validation"], ids: Sequence[str], reports: Sequence[FileReport | None]
) -> list[FileVerdict]:
    return [_file(kind, id_, report) for id_, report in zip(ids, reports, strict=True)]


def _file(kind: Literal["training", "validation"], id_: str, report: FileReport | None) -> FileVerdict:
    if report is None:
        return FileVerdict(file_id=id_, kind=kind)
    numbers = structs.asdict(report) | {"bad_lines": [BadLineOut(**structs.asdict(bad)) for bad in report.bad_lines]}
    return FileVerdict(file_id=id_, kind=kind, **numbers)
