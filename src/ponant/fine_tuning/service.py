"""Requests for jobs: checks, creation, start and cancellation."""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from ponant.api.fine_tuning import JobIn
from ponant.callers import Caller
from ponant.catalog.catalog import Catalog
from ponant.catalog.served import ServedModel
from ponant.errors import EngineUnavailableError, InvalidRequestError, missing_extra
from ponant.fine_tuning.loss_history import Losses, LossHistories
from ponant.fine_tuning.process import TrainerProcess
from ponant.fine_tuning.runs import clean_run, describe_run
from ponant.fine_tuning.verdict import Verdict, accepted, refused
from ponant.private_files import without_folders
from ponant.processes.temporary_folder import TemporaryFolder
from ponant.storage.descriptions import FineTuningJobFilter, Page
from ponant.storage.errors import JobStateError, UnknownFileError
from ponant.storage.lazy import LazyStorage
from ponant.training.events import Failed, Validated
from ponant.training.job import TrainingRun, write_run
from ponant.training.support import ARCHITECTURES, missing_package

if TYPE_CHECKING:
    from ponant.storage.tables import FineTuningJobRow

_SUFFIX = re.compile(r"[A-Za-z0-9._-]+")


class FineTuningService:
    """Creates, starts and cancels jobs."""

    def __init__(self, catalog: Catalog, storage: LazyStorage, *, wake: Callable[[], None], nice: int) -> None:
        """Serve requests.

        Args:
            catalog: has the base models.
            storage: has the files and the jobs.
            wake: called after changes that the runner should see at once.
            nice: value by which the priority of dry runs is lowered, 0 to 19.
        """
        self._catalog = catalog
        self._storage = storage
        self._wake = wake
        self._nice = nice
        self._dry_runs = asyncio.Semaphore(1)
        self._losses = LossHistories()

    async def create(self, request: JobIn, caller: Caller) -> "FineTuningJobRow":
        """Create a job.

        Raises:
            InvalidRequestError: the job is invalid or not supported.
            UnknownModelError: no model has this name.
            StorageError: the job cannot be stored.
        """
        base, run = await self._describe(request, caller)
        storage = await self._storage.open()
        from ponant.storage.tables import FineTuningJobRow  # already imported by the storage

        wandb = request.integrations[0] if request.integrations else None
        job = FineTuningJobRow(
            id=str(uuid.uuid4()),
            model=request.model,
            base=base.spec.id,
            auto_start=request.auto_start,
            training_files=[file.model_dump() for file in request.training_files],
            validation_files=request.validation_files or [],
            hyperparameters=request.hyperparameters.model_dump(),
            integrations=[wandb.model_dump(exclude={"api_key"})] if wandb else [],
            suffix=request.suffix,
            invalid_sample_skip_percentage=request.invalid_sample_skip_percentage,
            wandb_project=wandb and wandb.project,
            wandb_name=wandb and (wandb.run_name or wandb.name),
        )
        await asyncio.to_thread(write_run, run, storage.fine_tuned.folder / job.id)
        await storage.fine_tuning_jobs.add(job)
        self._wake()
        return job

    async def dry_run(self, request: JobIn, caller: Caller) -> Validated:
        """Validate a job without storing it.

        Raises:
            InvalidRequestError: the job is invalid or not supported, or its files are.
            UnknownModelError: no model has this name.
            EngineUnavailableError: the files could not be checked.
        """
        _, run = await self._describe(request, caller)
        async with self._validating(run) as (last, _):
            if isinstance(last, Validated):
                return last
            raise InvalidRequestError(without_folders(last.message), kind=last.error, param="training_files")

    async def verdict(self, request: JobIn, caller: Caller) -> Verdict:
        """Return the verdict on the files of a job, without storing it. Raises as ``dry_run``, except on its files."""
        _, run = await self._describe(request, caller)
        async with self._validating(run) as (last, folder):
            if isinstance(last, Validated):
                return accepted(last)
            return await asyncio.to_thread(
                refused,
                without_folders(last.message),
                folder,
                training=len(run.training_files),
                validation=len(run.validation_files),
            )

    @contextlib.asynccontextmanager
    async def _validating(self, run: TrainingRun) -> AsyncIterator[tuple[Validated | Failed, Path]]:
        """Validate the files of a run. Yield the outcome, an error if the files are to blame, and the run's folder.

        Raises EngineUnavailableError if the files could not be checked.
        """
        last = None
        async with self._dry_runs:
            with TemporaryFolder() as folder:
                without_key = structs.replace(run, wandb=None)  # a dry run needs no key
                await asyncio.to_thread(write_run, without_key, folder.path)
                async with TrainerProcess.start(folder.path, nice=self._nice, dry_run=True) as process:
                    async for event in process.events():
                        last = event
                match last:
                    case Validated() | Failed(error="invalid_dataset" | "bad_seq_len"):
                        yield last, folder.path
                    case _:
                        reason = last.message if isinstance(last, Failed) else "the process was stopped"
                        raise EngineUnavailableError(f"the files could not be checked: {reason}")

    async def find(self, job_id: str, caller: Caller) -> "FineTuningJobRow":
        """Return a job. Raises UnknownJobError."""
        return await (await self._storage.open()).fine_tuning_jobs.find(job_id)

    async def losses(self, job_id: str, caller: Caller) -> Losses:
        """Return the losses of a job so far. Raises UnknownJobError and StorageError."""
        job = await self.find(job_id, caller)
        folder = (await self._storage.open()).fine_tuned.folder / job.id
        return await self._losses.read(folder)

    async def page(
        self, wanted: FineTuningJobFilter, page: Page, caller: Caller
    ) -> tuple[Sequence["FineTuningJobRow"], int]:
        """Return a page of jobs, and the number of jobs on all pages.

        Args:
            wanted: conditions that the jobs fulfil.
            page: the page.
            caller: origin of the request.

        Raises:
            UnknownJobError: there is no job that the page comes after.
        """
        return await (await self._storage.open()).fine_tuning_jobs.page(wanted, page)

    async def start(self, job_id: str, caller: Caller) -> "FineTuningJobRow":
        """Start a job, at once or after its validation.

        Raises:
            InvalidRequestError: the job has been started, or has ended.
            UnknownJobError: there is no such job.
        """
        storage = await self._storage.open()
        try:
            job = await storage.fine_tuning_jobs.start(job_id)
        except JobStateError as error:
            raise InvalidRequestError(f"{error}; only jobs that have not been started can be started") from None
        self._wake()
        return job

    async def cancel(self, job_id: str, caller: Caller) -> "FineTuningJobRow":
        """Cancel a job. Raises UnknownJobError, and InvalidRequestError if the job has ended."""
        storage = await self._storage.open()
        try:
            job = await storage.fine_tuning_jobs.cancel(job_id)
        except JobStateError as error:
            raise InvalidRequestError(f"{error} already and cannot be cancelled") from None
        if job.status == "CANCELLED":
            await asyncio.to_thread(clean_run, storage.fine_tuned.folder / job.id)
        self._wake()
        return job

    async def _describe(self, request: JobIn, caller: Caller) -> tuple[ServedModel, TrainingRun]:
        _check(request)
        base = self._find_base(request.model)
        training = [await self._find_content(file.file_id, "training_files", caller) for file in request.training_files]
        validation = [
            await self._find_content(file_id, "validation_files", caller) for file_id in request.validation_files or []
        ]
        cache = (await self._storage.open()).fine_tuned.folder / "base-weights"
        return base, describe_run(request, base, cache, training, validation)

    def _find_base(self, name: str) -> ServedModel:
        if missing := missing_package():
            raise InvalidRequestError(
                f"Fine-tuning is not installed on this server ({missing} is missing): {missing_extra('finetune')}",
                kind="not_installed",
            )
        model = self._catalog.find(name)
        if isinstance(model, ServedModel) and model.spec.kind == "embed":
            raise InvalidRequestError(f"{name} is an embedding model and cannot be trained", param="model")
        if not isinstance(model, ServedModel):
            raise InvalidRequestError(
                f"{name} is a fine-tuned model and cannot be trained. Train {model.spec.root} with the data of both.",
                param="model",
            )
        if model.spec.path is None:
            raise InvalidRequestError(
                f"{name} cannot be trained: its weights are not on this machine", kind="not_supported", param="model"
            )
        if model.facts.architecture not in ARCHITECTURES:
            raise InvalidRequestError(
                f"{name} cannot be trained: its architecture is {model.facts.architecture or 'unknown'}. "
                f"Supported architectures: {', '.join(ARCHITECTURES)}",
                param="model",
            )
        return model

    async def _find_content(self, file_id: str, param: str, caller: Caller) -> Path:
        """Return the path of a dataset file's content."""
        files = (await self._storage.open()).files
        try:
            file = await files.find(file_id, caller=caller)
            path = await asyncio.to_thread(files.content, file)
        except UnknownFileError:
            raise InvalidRequestError(f"There is no file {file_id}.", param=param) from None
        if file.purpose != "fine-tune":
            raise InvalidRequestError(f"The file {file_id} has the purpose {file.purpose}, not fine-tune.", param=param)
        if file.sample_type != "instruct":
            raise InvalidRequestError(
                f"The file {file_id} has samples for pre-training, which is not supported. Use conversations "
                "('messages') or code to fill in ('prompt', 'suffix', 'completion').",
                param=param,
            )
        return path


def _check(request: JobIn) -> None:
    """Check a job without its model and files. Raises InvalidRequestError."""
    if request.job_type == "classifier" or request.classifier_targets:
        param = "job_type" if request.job_type == "classifier" else "classifier_targets"
        raise InvalidRequestError("Classifiers are not supported.", param=param)
    if request.repositories:
        raise InvalidRequestError("Repositories are not supported. Upload their code as files.", param="repositories")
    if not request.training_files:
        raise InvalidRequestError("training_files is empty. Name at least one file.", param="training_files")
    if request.suffix and not _SUFFIX.fullmatch(request.suffix):
        raise InvalidRequestError(
            "The suffix, a part of the model's name, may have letters, digits, '.', '_' and '-' only.",
            param="suffix",
        )
    integrations = request.integrations or []
    if len(integrations) > 1:
        raise InvalidRequestError("Only one integration is supported.", param="integrations")
    if any("\0" in (text or "") for one in integrations for text in (one.project, one.name, one.run_name)):
        raise InvalidRequestError("project, name and run_name must not contain NUL characters.", param="integrations")
