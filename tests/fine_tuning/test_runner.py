"""Job runner, including the jobs of a server that died."""

import asyncio
import contextlib
import os
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from ponant.catalog.catalog import Catalog
from ponant.fine_tuning.job_type import FineTuningJobType
from ponant.fine_tuning.registry import ModelRegistry
from ponant.jobs.lock import open_lock_file
from ponant.jobs.runner import Runner
from ponant.model_settings import ModelSettings
from ponant.server.wiring import make_catalog
from ponant.settings import Settings
from ponant.storage.lazy import LazyStorage
from ponant.storage.storage import Storage
from ponant.storage.tables import FineTuningJobRow


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with contextlib.closing(Storage.open(tmp_path)) as storage:
        yield storage


@pytest.fixture
async def catalog(tiny_model: Path, tmp_path: Path) -> AsyncIterator[Catalog]:
    models = [ModelSettings(source=str(tiny_model))]
    catalog = make_catalog(Settings(models=models, data_dir=tmp_path, preload="none"))
    await catalog.open()
    yield catalog
    await catalog.close()


@contextlib.asynccontextmanager
async def running(catalog: Catalog, storage: Storage) -> AsyncIterator[asyncio.Event]:
    """Run a runner; yield the event that notifies it of changes."""
    changed = asyncio.Event()
    with contextlib.closing(LazyStorage(storage.fine_tuned.folder.parent)) as same:
        runner = Runner(FineTuningJobType(catalog, storage, ModelRegistry(catalog, same), nice=0), changed=changed)
        task = asyncio.create_task(runner.run())
        yield changed
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def add_job(storage: Storage, *states: str) -> FineTuningJobRow:
    """Add a job, and move it through the states."""
    job = FineTuningJobRow(
        id=str(uuid.uuid4()),
        model="tiny",
        base="tiny",
        auto_start=True,
        training_files=[],
        validation_files=[],
        hyperparameters={},
        integrations=[],
        invalid_sample_skip_percentage=0,
    )
    await storage.fine_tuning_jobs.add(job)
    if states:
        await storage.fine_tuning_jobs.move(job.id, *states)
    return job


def write_leftovers(folder: Path) -> None:
    for name in ("samples", "checkpoints", "adapter"):
        (folder / name).mkdir(parents=True)
    for name in ("run.json", "adapter.gguf", "metrics.csv"):
        (folder / name).touch()


async def test_what_a_dead_server_left_of_jobs_is_removed(catalog: Catalog, storage: Storage) -> None:
    folder = storage.fine_tuned.folder
    cancelled = folder / (await add_job(storage, "CANCELLED")).id
    unknown, coming = folder / str(uuid.uuid4()), folder / str(uuid.uuid4())
    for path in (cancelled, unknown, coming):
        write_leftovers(path)
    os.utime(unknown, (0, 0))
    async with running(catalog, storage), asyncio.timeout(30):
        while unknown.exists() or (cancelled / "run.json").exists():
            await asyncio.sleep(0.01)
    assert [path.name for path in cancelled.iterdir()] == ["metrics.csv"]
    assert (coming / "run.json").exists()


async def test_jobs_whose_cancellation_was_requested_end_though_nobody_works_on_them(
    catalog: Catalog, storage: Storage
) -> None:
    jobs = [await add_job(storage, "VALIDATING", "CANCELLATION_REQUESTED") for _ in range(20)]
    async with running(catalog, storage), asyncio.timeout(30):
        for job in jobs:
            while (await storage.fine_tuning_jobs.find(job.id)).status != "CANCELLED":
                await asyncio.sleep(0.01)


async def is_failed(storage: Storage, job: FineTuningJobRow) -> None:
    """Wait until a job has failed, as jobs without a description do."""
    while (await storage.fine_tuning_jobs.find(job.id)).status != "FAILED":
        await asyncio.sleep(0.01)


async def test_jobs_are_run_once_their_folder_can_be_used(
    catalog: Catalog, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.jobs.retry._RETRY_SECONDS", 0.01)
    attempts = Counter[Path]()

    def counted(folder: Path) -> TextIO:
        attempts[folder] += 1
        return open_lock_file(folder)

    monkeypatch.setattr("ponant.jobs.lock.open_lock_file", counted)
    folder = storage.fine_tuned.folder
    folder.touch()
    job = await add_job(storage)
    async with running(catalog, storage), asyncio.timeout(30):
        while attempts[folder] < 2:
            await asyncio.sleep(0.01)
        folder.unlink()
        await is_failed(storage, job)


async def test_job_of_which_nothing_is_known_any_more_fails(catalog: Catalog, storage: Storage) -> None:
    job = await add_job(storage)
    async with running(catalog, storage), asyncio.timeout(30):
        await is_failed(storage, job)
    events, _ = await storage.fine_tuning_jobs.history(job.id)
    assert events[0].data["error"].startswith("the description of the run cannot be read")


async def test_an_idle_runner_that_is_told_of_a_job_need_not_look_for_it(
    catalog: Catalog, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.jobs.runner._IDLE_POLL_SECONDS", 3600.0)
    async with running(catalog, storage) as changed, asyncio.timeout(30):
        for _ in range(2):  # the runner is certainly idle when the second job comes
            job = await add_job(storage)
            changed.set()
            await is_failed(storage, job)


async def test_an_idle_runner_finds_what_others_add(
    catalog: Catalog, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.jobs.runner._IDLE_POLL_SECONDS", 0.1)
    async with running(catalog, storage), asyncio.timeout(30):
        for _ in range(2):
            await is_failed(storage, await add_job(storage))
