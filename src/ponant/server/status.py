"""The state of a server at present: its models, the last requests, jobs and files."""

import time
from collections.abc import Callable

from ponant._version import __version__
from ponant.api.status import (
    CacheStatus,
    FilesStatus,
    FineTunedStatus,
    JobStatusNow,
    MachineStatus,
    ModelStatus,
    RequestStatus,
    ServerStatus,
    TokenTotals,
)
from ponant.catalog.catalog import Catalog
from ponant.catalog.fine_tuned import FineTunedModel
from ponant.catalog.loading.loaded import LoadedModel
from ponant.catalog.served import ServedModel
from ponant.catalog.spec import ModelSpec
from ponant.errors import EngineUnavailableError
from ponant.machine import available_memory, default_threads, total_memory
from ponant.server.abilities import can_be_trained
from ponant.server.readiness import readiness, trouble_of
from ponant.server.recent_requests import RecentRequests
from ponant.server.request_record import RequestRecord
from ponant.server.stored_state import Snapshot, StoredState
from ponant.server.token_rates import TokenRates
from ponant.storage.lazy import LazyStorage


class StatusReader:
    """Reads the state of a server: in memory, and jobs and files at most once a second from the storage."""

    def __init__(
        self, catalog: Catalog, storage: LazyStorage, recent: RecentRequests, *, stopping: Callable[[], bool]
    ) -> None:
        """Read the state of these parts.

        Args:
            catalog: the models.
            storage: jobs and files.
            recent: the last requests.
            stopping: returns True while the server shuts down.
        """
        self._catalog = catalog
        self._recent = recent
        self._stopping = stopping
        self._stored = StoredState(storage)
        self._rates = TokenRates()
        self._started = time.time()
        self._cores = default_threads()

    async def aclose(self) -> None:
        """Wait for the end of a read from the storage."""
        await self._stored.close()

    async def read(self) -> ServerStatus:
        """Return the state."""
        snapshot = await self._stored.snapshot()
        served = {model.spec.id: model for model in self._catalog.models}
        default = self._catalog.default.spec.id if served else None
        return ServerStatus(
            version=__version__,
            state=readiness(self._catalog, self._stopping),
            now=time.time(),
            started=self._started,
            machine=MachineStatus(
                cores=self._cores, memory=total_memory(), memory_available=max(0, available_memory())
            ),
            models=[
                self._model(served[spec.id], is_default=spec.id == default) if spec.id in served else self._unread(spec)
                for spec in self._catalog.specs
            ],
            fine_tuned=[self._fine_tuned(model) for model in self._catalog.fine_tuned],
            requests=[_request(record) for record in self._recent.last],
            jobs=None if snapshot is None else _jobs(snapshot),
            files=None if snapshot is None else FilesStatus(count=snapshot.file_count, bytes=snapshot.file_bytes),
        )

    def _unread(self, spec: ModelSpec) -> ModelStatus:
        """Return the state of a model whose file has not been read yet."""
        return ModelStatus(
            id=spec.id,
            kind=spec.kind,
            is_default=False,
            aliases=list(spec.aliases),
            abilities=[],
            state="unloaded",
            totals=TokenTotals(requests=0, prompt_tokens=0, cached_tokens=0, completion_tokens=0),
        )

    def _model(self, model: ServedModel, *, is_default: bool) -> ModelStatus:
        status = ModelStatus(
            id=model.spec.id,
            kind=model.spec.kind,
            is_default=is_default,
            aliases=self._catalog.aliases_of(model),
            abilities=_abilities(model),
            state=model.state,
            error=trouble_of(model),
            context=model.facts.context,
            memory=model.facts.memory,
            totals=self._totals(model.spec.id),
        )
        if model.loaded:
            backend = model.loaded.backend
            status.waiting = backend.waiting
            try:
                status.device, status.memory = backend.device, backend.memory
                if isinstance(model.loaded, LoadedModel):
                    self._add_load(status, model.loaded)
                else:
                    status.running, status.places = int(backend.busy), 1
            except EngineUnavailableError:  # its engine has not started
                pass
        return status

    def _add_load(self, status: ModelStatus, model: LoadedModel) -> None:
        report, limits = model.engine.report, model.engine.limits
        status.running, status.places = report.running, limits.parallel
        status.tokens_per_second = self._rates.rate(status.id, report.drawn_tokens)
        if limits.kv_cells is not None:
            status.cache = CacheStatus(
                cells=limits.kv_cells, used=report.cells_used, kept=report.cells_kept, stored=report.tokens_stored
            )

    def _fine_tuned(self, model: FineTunedModel) -> FineTunedStatus:
        base = self._catalog.base_of(model)
        adapters = base.loaded.adapters if base and isinstance(base.loaded, LoadedModel) else None
        return FineTunedStatus(
            id=model.spec.id,
            base=model.spec.base,
            job=model.spec.job,
            archived=model.spec.archived,
            is_loaded=adapters is not None and model.spec.id in adapters.adapters,
            totals=self._totals(model.spec.id),
        )

    def _totals(self, model_id: str) -> TokenTotals:
        totals = self._recent.totals_of(model_id)
        return TokenTotals(
            requests=totals.requests,
            prompt_tokens=totals.prompt_tokens,
            cached_tokens=totals.cached_tokens,
            completion_tokens=totals.completion_tokens,
        )


def _abilities(model: ServedModel) -> list[str]:
    has = {
        "chat": model.chats,
        "tools": model.calls_functions,
        "fim": model.facts.native_fim,
        "embeddings": model.spec.kind == "embed",
        "fine-tuning": can_be_trained(model),
    }
    return [ability for ability, is_there in has.items() if is_there]


def _request(record: RequestRecord) -> RequestStatus:
    figures = record.figures
    status = RequestStatus(
        id=record.id,
        created=record.created,
        method=record.method,
        route=record.route,
        dialect=record.dialect,
        model=figures.model if figures else record.model,
        stream=record.streamed,
        n=record.choices,
        schema_=record.schema,
        tools=record.tools,
        status=record.status,
        ms=round(1000 * record.seconds, 1),
    )
    if figures:
        status.prompt_tokens = figures.prompt_tokens
        status.cached_tokens = figures.cached_tokens
        status.completion_tokens = figures.completion_tokens
        if figures.first_token is not None:
            status.first_token_ms = round(1000 * (figures.first_token - record.began), 1)
    return status


def _jobs(snapshot: Snapshot) -> list[JobStatusNow]:
    if not snapshot.jobs:
        return []
    from ponant.storage.fine_tuning_jobs import shown_status  # already imported by the storage

    return [
        JobStatusNow(
            id=job.id,
            model=job.model,
            status=shown_status(job),
            suffix=job.suffix,
            created_at=job.created_at,
            modified_at=job.modified_at,
            fine_tuned_model=job.fine_tuned_model,
            progress=progress,
        )
        for job, progress in snapshot.jobs
    ]
