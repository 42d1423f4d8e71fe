"""The data folder is readable for its user alone, and a FIFO in place of a file is refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ponant.processes.temporary_folder import TemporaryFolder
from tests.in_process import serving_scripted
from tests.server.files import FILES, upload, uploaded

LEAVE_FOLDER = """
import os, signal
from ponant.processes.temporary_folder import TemporaryFolder
print(TemporaryFolder().path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
OPEN = 0o077


def open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in [folder, *folder.rglob("*")] if path.lstat().st_mode & OPEN]


def test_everything_below_the_data_folder_is_private_also_what_was_there(tiny_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("fine_tuning/job/samples/training/0/tokens", "prepared/copy.gguf", "models/hf/org/repo/w.gguf"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("secret")
    before = os.umask(0)
    try:
        (data / "files").mkdir()
        with serving_scripted(tiny_model, data_dir=data) as server, server.client() as client:
            uploaded(client)
            assert client.get(f"{FILES}/{uploaded(client)['id']}/url").status_code == 200
            assert {"ponant.db", "ponant.db-wal", "ponant.db-shm", "secret.key"} <= {
                path.name for path in data.iterdir()
            }
            assert open_to_others(data) == []
    finally:
        os.umask(before)


def test_a_data_folder_with_files_of_others_keeps_its_rights(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("of another program")
    (tmp_path / "files").mkdir()
    tmp_path.chmod(0o755)
    with serving_scripted(tiny_model, data_dir=tmp_path):
        assert [path for path in open_to_others(tmp_path) if "notes" not in path] == [str(tmp_path)]
        assert (tmp_path / "notes.txt").stat().st_mode & OPEN


def test_fifos_in_place_of_stored_files_are_refused_at_once(tiny_model: Path, tmp_path: Path) -> None:
    with serving_scripted(tiny_model, data_dir=tmp_path) as server, server.client(timeout=20) as client:
        content = tmp_path / "files" / uploaded(client)["id"]
        content.unlink()
        os.mkfifo(content)
        assert client.get(f"{FILES}/{content.name}/content").status_code == 503
        assert client.delete(f"{FILES}/{content.name}").status_code == 503


@pytest.mark.parametrize("name", ["secret.key", "ponant.db-wal"])
def test_fifos_in_place_of_the_storage_are_refused_at_once(tiny_model: Path, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with serving_scripted(tiny_model, data_dir=tmp_path) as server, server.client(timeout=20) as client:
        refused = upload(client)
        assert refused.status_code == 503
        assert str(tmp_path) not in refused.text


def test_folders_of_killed_processes_are_swept() -> None:
    killed = subprocess.run([sys.executable, "-c", LEAVE_FOLDER], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    with TemporaryFolder() as first:
        assert not left.exists()
        with TemporaryFolder():
            assert first.path.is_dir()
    assert not first.path.exists()
