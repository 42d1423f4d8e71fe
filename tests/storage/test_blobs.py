"""File contents on disk."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ponant.storage.blobs import Blobs
from ponant.storage.errors import StorageError, StorageFullError

UNFINISHED = """
import sys, time
from pathlib import Path
from ponant.storage.blobs import Blobs
writer = Blobs(Path(sys.argv[1])).create("unfinished")
writer.write(b"half of")
print("written", flush=True)
time.sleep(600)
"""


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "files")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "files").iterdir())


def never(_: str) -> bool:
    return False


def test_blob_has_its_name_once_it_is_published(blobs: Blobs, tmp_path: Path) -> None:
    writer = blobs.create("one")
    writer.write(b"Hello, ")
    writer.write(b"world")
    writer.flush()
    assert names(tmp_path) == ["one.part"]
    writer.publish()
    assert names(tmp_path) == ["one"]
    assert blobs.path("one").read_bytes() == b"Hello, world"
    assert (writer.size, writer.sha256[:8]) == (12, "4ae7c3b6")
    writer.discard()
    assert names(tmp_path) == ["one"]


def test_discarded_blob_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    writer = blobs.create("one")
    writer.write(b"Hello")
    writer.discard()
    writer.discard()
    assert names(tmp_path) == []


def test_folder_is_this_users_alone(blobs: Blobs, tmp_path: Path) -> None:
    assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700


def test_what_another_server_is_writing_is_left_alone_until_that_is_killed(blobs: Blobs, tmp_path: Path) -> None:
    command = [sys.executable, "-c", UNFINISHED, str(tmp_path / "files")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"written\n"
        blobs.sweep(never)
        assert names(tmp_path) == ["unfinished.part"]
        os.kill(other.pid, signal.SIGKILL)
    blobs.sweep(never)
    assert names(tmp_path) == []


def test_blob_that_the_database_knows_gets_its_name(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "files" / "known.part").write_bytes(b"whole")
    (tmp_path / "files" / "unknown.part").write_bytes(b"ha")
    (tmp_path / "files" / "old").write_bytes(b"never removed")
    blobs.sweep(lambda id_: id_ == "known")
    assert names(tmp_path) == ["known", "old"]


def test_blob_goes_once_it_is_forgotten(blobs: Blobs, tmp_path: Path) -> None:
    publish(blobs, "one")
    with blobs.path("one").open("rb") as reader:
        assert blobs.delete("one", lambda: swept(blobs, tmp_path)) == ["one.part"], (
            "neither whole, nor gone before the database forgot it"
        )
        assert names(tmp_path) == []
        assert reader.read() == b"Hello"
    assert blobs.delete("one", lambda: "there is none") == "there is none"


def test_blob_that_is_not_forgotten_stays(blobs: Blobs, tmp_path: Path) -> None:
    publish(blobs, "one")

    def fail() -> None:
        raise StorageError("no database")

    with pytest.raises(StorageError):
        blobs.delete("one", fail)
    assert names(tmp_path) == ["one"]


def test_full_disk_is_told(blobs: Blobs, tmp_path: Path, full_disk: Callable[[int], Path]) -> None:
    small = Blobs(full_disk(64 * 1024))
    writer = small.create("large")
    with pytest.raises(StorageFullError):
        for _ in range(100):
            writer.write(b"x" * 4096)
    writer.discard()
    assert list(small.path("large").parent.iterdir()) == []


def publish(blobs: Blobs, id_: str) -> None:
    writer = blobs.create(id_)
    writer.write(b"Hello")
    writer.flush()
    writer.publish()


def swept(blobs: Blobs, folder: Path) -> list[str]:
    blobs.sweep(never)
    return names(folder)
