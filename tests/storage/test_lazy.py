"""Storage that is opened on first use."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.storage.errors import StorageError
from ponant.storage.lazy import LazyStorage
from ponant.storage.storage import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LazyStorage]:
    with contextlib.closing(LazyStorage(tmp_path / "data")) as storage:
        yield storage


async def test_nothing_is_made_but_the_folder_before_it_is_needed(storage: LazyStorage, tmp_path: Path) -> None:
    assert not storage.in_use
    assert list((tmp_path / "data").iterdir()) == []
    opened = await storage.open()
    assert storage.in_use
    assert await storage.open() is opened
    assert (tmp_path / "data" / "ponant.db").is_file()


async def test_many_who_need_it_at_once_get_the_same(storage: LazyStorage) -> None:
    first, *others = await asyncio.gather(*(storage.open() for _ in range(8)))
    assert all(other is first for other in others)


async def test_who_waits_for_it_leaves_threads_to_others(storage: LazyStorage, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "ponant.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN IMMEDIATE")  # blocks the opening
        opening = [asyncio.create_task(storage.open()) for _ in range(64)]
        for _ in range(10):
            await asyncio.sleep(0)  # a few turns of the event loop start all tasks
        async with asyncio.timeout(10):
            await asyncio.to_thread(int)
        assert not any(task.done() for task in opening)
        other.execute("ROLLBACK")
    async with asyncio.timeout(30):
        first, *others = await asyncio.gather(*opening)
    assert all(other is first for other in others)


async def test_who_waits_is_told_when_this_server_begins(storage: LazyStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponant.storage.lazy._POLL_SECONDS", 3600.0)
    waiting = asyncio.create_task(storage.when_in_use())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        assert await storage.open() is await waiting


async def test_who_waits_sees_when_another_server_begins(
    storage: LazyStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.storage.lazy._POLL_SECONDS", 0.01)
    waiting = asyncio.create_task(storage.when_in_use())
    await asyncio.sleep(0)
    with contextlib.closing(Storage.open(tmp_path / "data")) as other:
        async with asyncio.timeout(30):
            assert (await waiting).database is not other.database


async def test_storage_that_cannot_be_opened_may_be_later(
    storage: LazyStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.storage.lazy._POLL_SECONDS", 0.01)
    damaged = tmp_path / "data" / "ponant.db"
    damaged.write_bytes(b"something else" * 1000)
    waiting = asyncio.create_task(storage.when_in_use())
    with pytest.raises(StorageError, match="cannot be used"):
        await storage.open()
    damaged.unlink()
    async with asyncio.timeout(30):
        assert await storage.open() is await waiting


def test_folder_that_cannot_be_made_or_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot make data_dir"):
        LazyStorage(tmp_path / "file" / "data")
    monkeypatch.setattr("os.access", lambda *_: False)  # root can write to every folder
    with pytest.raises(StorageError, match="cannot write in data_dir"):
        LazyStorage(tmp_path)


def test_a_database_elsewhere_is_always_in_use(tmp_path: Path) -> None:
    assert LazyStorage(tmp_path, f"sqlite:///{tmp_path}/elsewhere.db").in_use
