"""The runner of jobs, with what a server that died has left to it."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ponant.catalog.catalog import Catalog
from ponant.fine_tuning.registry import ModelRegistry
from ponant.fine_tuning.runner import Runner
from ponant.server.assembly import make_catalog
from ponant.settings import ModelSettings, Settings
from ponant.storage.storage import Storage
from ponant.storage.tables import FineTuningJob
from ponant.training.job import TrainingRun, write_run


@pytest.fixture
async def catalog(tiny_model: Path, tmp_path: Path) -> AsyncIterator[Catalog]:
    settings = Settings(models=[ModelSettings(source=str(tiny_model))], data_dir=tmp_path, preload="none")
    catalog = make_catalog(settings)
    await catalog.open()
    yield catalog
    await catalog.close()


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    with contextlib.closing(Storage.open(tmp_path, None)) as storage:
        yield storage


@contextlib.asynccontextmanager
async def running(catalog: Catalog, storage: Storage) -> AsyncIterator[asyncio.Task[None]]:
    runner = Runner(catalog, storage, ModelRegistry(catalog, storage.fine_tuned), nice=0)
    task = asyncio.create_task(runner.run())
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def add_job(storage: Storage, id_: str) -> Path:
    """A new job, and its folder."""
    job = FineTuningJob(
        id=id_,
        model="tiny",
        base="tiny",
        auto_start=True,
        training_files=[],
        validation_files=[],
        hyperparameters={},
        integrations=[],
        invalid_sample_skip_percentage=0.0,
    )
    folder = storage.fine_tuned.folder / id_
    write_run(TrainingRun("tiny.gguf", "cache", []), folder)
    await storage.jobs.add(job)
    return folder


async def test_cancellations_that_a_dead_server_left_are_ended_once(catalog: Catalog, storage: Storage) -> None:
    names = [f"job-{number}" for number in range(20)]
    for name in names:
        await add_job(storage, name)
        await storage.jobs.move(name, "VALIDATING", "CANCELLATION_REQUESTED")

    async with running(catalog, storage) as task:
        async with asyncio.timeout(30):
            while len(await storage.jobs.in_states("CANCELLED")) < len(names):
                assert not task.done(), task.exception()
                await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        assert not task.done()
    for name in names:
        events, _ = await storage.jobs.history(name)
        assert [event.data["status"] for event in events].count("CANCELLED") == 1
    assert not list(storage.fine_tuned.folder.glob("*/run.json"))


async def test_what_dead_servers_left_of_jobs_is_removed(catalog: Catalog, storage: Storage) -> None:
    """The descriptions of runs may hold keys."""
    ended = await add_job(storage, "ended")
    await storage.jobs.move("ended", "CANCELLED")
    never, just_now = (storage.fine_tuned.folder / name for name in ("never", "just-now"))
    for folder in (never, just_now):
        write_run(TrainingRun("tiny.gguf", "cache", []), folder)
    long_ago = time.time() - 7200
    os.utime(never, (long_ago, long_ago))

    async with running(catalog, storage):
        async with asyncio.timeout(30):
            while (ended / "run.json").exists() or never.exists():
                await asyncio.sleep(0.01)
    assert (just_now / "run.json").exists()
