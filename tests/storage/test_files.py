"""Files, and the secret for signatures."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.callers import ANYONE
from ponant.storage.descriptions import FileDetails, FileFilter, Page
from ponant.storage.errors import StorageError, UnknownFileError
from ponant.storage.signing import Signer
from ponant.storage.storage import Storage
from ponant.storage.tables import FileRow


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = Storage.open(tmp_path)
    yield opened
    opened.close()


def details(**changes: object) -> FileDetails:
    fields = {"filename": "a.jsonl", "purpose": "batch", "sample_type": "batch_request", "mimetype": "text/plain"}
    return FileDetails(**fields | changes)  # type: ignore[arg-type]


async def add(storage: Storage, content: bytes = b"Hello", **changes: object) -> FileRow:
    writer = storage.files.begin()
    writer.write(content)
    return await storage.files.add(writer, details(**changes), caller=ANYONE)


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "files").iterdir())


async def test_files_outlast_the_server(storage: Storage, tmp_path: Path) -> None:
    file = await add(storage)
    storage.close()
    again = Storage.open(tmp_path)
    found = await again.files.find(file.id, caller=ANYONE)
    assert (found.size, found.sha256, found.filename) == (5, file.sha256, "a.jsonl")
    assert again.files.content(found).read_bytes() == b"Hello"
    again.close()


async def test_crash_between_database_and_name_loses_nothing(storage: Storage, tmp_path: Path) -> None:
    file = await add(storage)
    path = storage.files.content(file)
    path.rename(path.with_name(f"{file.id}.part"))
    (tmp_path / "files" / "7b1f2a52-0000-4000-8000-000000000000.part").write_bytes(b"never came whole")
    again = Storage.open(tmp_path)
    assert contents(tmp_path) == [file.id]
    again.close()


async def test_another_database_does_not_cost_the_files_of_the_first(storage: Storage, tmp_path: Path) -> None:
    file = await add(storage)
    Storage.open(tmp_path, f"sqlite:///{tmp_path}/another.db").close()
    assert contents(tmp_path) == [file.id]


async def test_file_is_gone_when_its_time_is_over(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, goes = await add(storage), await add(storage, seconds=3600)
    assert goes.expires_at == goes.created_at + 3600
    later = time.time() + 3601
    monkeypatch.setattr("time.time", lambda: later)
    with pytest.raises(UnknownFileError):
        await storage.files.find(goes.id, caller=ANYONE)
    found, total = await storage.files.page(FileFilter(), Page(size=10), caller=ANYONE)
    assert ([file.id for file in found], total) == ([stays.id], 1)
    third = await add(storage)
    assert contents(tmp_path) == sorted([stays.id, third.id])


async def test_file_is_deleted_once(storage: Storage, tmp_path: Path) -> None:
    file = await add(storage)
    await storage.files.delete(file.id, caller=ANYONE)
    assert contents(tmp_path) == []
    with pytest.raises(UnknownFileError):
        await storage.files.delete(file.id, caller=ANYONE)


@pytest.mark.parametrize("id_", ["", "..", "../secret.key", "\0", "é", "urn:uuid:" + "0" * 32, "0" * 32])
async def test_what_is_no_id_is_no_file(storage: Storage, id_: str) -> None:
    with pytest.raises(UnknownFileError):
        await storage.files.find(id_, caller=ANYONE)


async def test_content_that_was_taken_away_is_no_file(storage: Storage) -> None:
    file = await add(storage)
    storage.files.content(file).unlink()
    with pytest.raises(UnknownFileError):
        storage.files.content(file)
    await storage.files.delete(file.id, caller=ANYONE)


async def test_search_takes_signs_as_they_are(storage: Storage) -> None:
    for name in ("100% true.jsonl", "100_true.jsonl", "Été.jsonl"):
        await add(storage, filename=name)

    async def found(search: str) -> list[str]:
        page, total = await storage.files.page(FileFilter(search=search), Page(size=10), caller=ANYONE)
        assert total == len(page)
        return [file.filename for file in page]

    assert await found("0% TR") == ["100% true.jsonl"]
    assert await found("0_t") == ["100_true.jsonl"]
    assert await found("té") == ["Été.jsonl"]
    assert await found("\0") == []
    assert len(await found("")) == 3


async def test_page_far_out_is_empty(storage: Storage) -> None:
    await add(storage)
    assert await storage.files.page(FileFilter(), Page(number=10**30, size=10), caller=ANYONE) == ([], 1)


def test_secret_is_this_users_alone_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    signature = Signer.open(path).sign("text")
    assert path.stat().st_mode & 0o777 == 0o600
    assert Signer.open(path).verifies("text", signature)
    assert not Signer.open(path).verifies("texts", signature)
    assert not Signer.open(path).verifies("text", "é")
    assert [file.name for file in tmp_path.iterdir()] == ["secret.key"]


def test_damaged_secret_is_told(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(StorageError, match="damaged"):
        Signer.open(tmp_path / "secret.key")
