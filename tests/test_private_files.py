"""Private files and folders, and texts for clients without folders."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.private_files import make_folder, make_private, open_file, read_bytes, without_folders, write_bytes


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_new_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "two"
    make_folder(folder)
    make_folder(folder)
    write_bytes(folder / "written", b"text")
    open_file(folder / "locked", "w").close()
    assert [mode(path) for path in (folder.parent, folder)] == [0o700, 0o700]
    assert [mode(path) for path in folder.iterdir()] == [0o600, 0o600]
    assert read_bytes(folder / "written") == b"text"


def test_existing_files_are_made_private_but_not_what_links_lead_to(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    outside.write_text("other")
    (folder / "inner" / "weights").write_text("w")
    (folder / "inner" / "weights").chmod(0o444)
    (folder / "link").symlink_to(outside)
    make_private(folder)
    assert [mode(path) for path in (folder, folder / "inner", folder / "inner" / "weights")] == [0o700, 0o700, 0o400]
    assert mode(outside) == 0o666


@pytest.mark.parametrize("kind", ["rb", "rb+", "wb", "ab", "w"])
def test_fifos_devices_and_folders_are_refused_in_place_of_files(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "fifo", tmp_path / "link", tmp_path, Path("/dev/null")):
        with pytest.raises(OSError, match="not a regular file"):
            open_file(path, kind)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/models/a.gguf is not a GGUF file", "a.gguf is not a GGUF file"),
        ("cannot load /home/my user/a.gguf: magic", "cannot load a.gguf: magic"),
        ("[Errno 2] No such file: '/home/my user/a, b.gguf'", "[Errno 2] No such file: 'a, b.gguf'"),
        ("needs 5 MiB in /data/base-weights. Free some", "needs 5 MiB in base-weights. Free some"),
        (
            "the application/json of https://hub.example/a/b, or 1/2",
            "the application/json of https://hub.example/a/b, or 1/2",
        ),
        ("POST /v1", "POST /v1"),
    ],
)
def test_texts_for_clients_name_files_without_their_folders(text: str, shown: str) -> None:
    assert without_folders(text) == shown
