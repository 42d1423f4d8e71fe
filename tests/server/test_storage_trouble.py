"""A full disk, which can be emptied through the API, and a database that another program has locked."""

import contextlib
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from ponant.storage.database import Database
from ponant.storage.errors import StorageFullError
from tests.in_process import serving_scripted
from tests.server.files import FILES, LINE, upload, uploaded
from tests.serving import wait_until

UPLOADS = 12
"""More uploads than the storage has threads for writing."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Folder on a disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("disks cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> None:
    """Take the last byte of a disk."""
    with contextlib.suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(1000))


def test_full_disk_is_emptied_through_the_api(tiny_model: Path, small_disk: Path) -> None:
    data = small_disk / "data"
    with serving_scripted(tiny_model, data_dir=data) as server, server.client() as client:
        ids = [uploaded(client, LINE * 2000)["id"] for _ in range(6)]
        fill(small_disk)
        assert upload(client, LINE * 2000).status_code == 507
        assert client.delete(f"{FILES}/{ids[0]}").status_code == 200
        fill(small_disk)
        assert [client.delete(f"{FILES}/{id_}").status_code for id_ in ids[1:4]] == [200] * 3
        assert client.get(FILES).json()["total"] == 2
        assert upload(client).status_code == 200
    fill(small_disk)
    with serving_scripted(tiny_model, data_dir=data) as server, server.client() as client:  # started on a full disk
        assert [client.delete(f"{FILES}/{id_}").status_code for id_ in ids[4:]] == [200] * 2


def test_deletion_that_finds_the_disk_full_is_tried_with_the_reserve(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/ponant.db")
    reserve = tmp_path / "ponant.db-reserve"
    assert reserve.stat().st_size

    def write(_: object) -> str:
        if reserve.stat().st_size:
            raise StorageFullError("the disk is full")
        return "written"

    with contextlib.closing(database):
        with pytest.raises(StorageFullError):
            database.write_now(write)
        assert database.free_now(write) == "written"
        assert reserve.stat().st_size


def test_locked_database_keeps_uploads_waiting_but_nothing_else(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.storage.threads.LOCK_SECONDS", 4.0)
    with (
        serving_scripted(tiny_model, data_dir=tmp_path) as server,
        server.client(timeout=10) as client,
        ThreadPoolExecutor(UPLOADS) as callers,
    ):
        kept = uploaded(client)["id"]
        with contextlib.closing(sqlite3.connect(tmp_path / "ponant.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = [callers.submit(upload, client, LINE, f"{number}.jsonl") for number in range(UPLOADS)]
            wait_until(lambda: len(list((tmp_path / "files").glob("*.part"))) == UPLOADS)
            assert client.get(FILES).json()["total"] == 1
            assert client.get(f"{FILES}/{kept}/content").content == LINE
            assert not any(upload.done() for upload in waiting)
            answers: list[httpx2.Response] = [upload.result() for upload in waiting]
            other.execute("ROLLBACK")
        assert [answer.status_code for answer in answers] == [503] * UPLOADS
        assert upload(client).status_code == 200
