"""Download of a file from a server that fails, sends wrong data and changes the file."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
import pytest

from ponant.weights.attempts import DownloadError, SilentWatcher
from ponant.weights.download import (
    SPARE_DISK,
    Checksum,
    DamagedFileError,
    DiskFullError,
    Download,
    check_disk_space,
    fetch_file,
)
from tests.weights.hub_server import (
    Answer,
    Behaviour,
    Hub,
    breaking_off,
    claiming,
    damaged,
    honest,
    hub_server,
    ignoring_range,
    status,
    unmeasured,
)

CONTENT = os.urandom(300_000)
FIRST = 100_000


@dataclass
class Notes:
    """Recorded notifications."""

    said: list[str] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)

    def begin(self, name: str, size: int, done: int) -> None:
        assert (name, size) == ("model.gguf", len(CONTENT))
        self.progress.append(done)

    def advance(self, done: int) -> None:
        self.progress.append(done)

    def say(self, text: str) -> None:
        self.said.append(text)


@dataclass
class Fetching:
    """File to download, and the record of the download."""

    hub: Hub
    download: Download
    notes: Notes = field(default_factory=Notes)
    pauses: list[float] = field(default_factory=list)

    def run(self, *behaviours: Behaviour) -> None:
        """Download from a server with these behaviours, followed by correct ones."""
        self.hub.behaviours[:] = behaviours
        with httpx2.Client(timeout=0.5, follow_redirects=True) as client:
            fetch_file(self.download, client, self.notes, pause=self.pauses.append)

    @property
    def ranges(self) -> list[str | None]:
        """Requested ranges."""
        return self.hub.ranges()

    def left(self) -> list[str]:
        """Return the files in the folder."""
        return sorted(path.name for path in self.download.target.parent.glob("*"))

    def is_whole(self) -> bool:
        """True if the file is complete and the only one."""
        return self.left() == ["model.gguf"] and self.download.target.read_bytes() == CONTENT


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with hub_server() as hub:
        yield hub


@pytest.fixture
def fetching(server: Hub, tmp_path: Path) -> Fetching:
    digest = hashlib.sha256(CONTENT).hexdigest()
    server.contents["file"] = CONTENT
    server.requests.clear()
    server.hanging.clear()
    download = Download(
        f"{server.url}/cdn/file", tmp_path / "sub" / "model.gguf", len(CONTENT), Checksum("sha256", digest)
    )
    return Fetching(server, download)


def test_file_comes_and_progress_is_told(fetching: Fetching) -> None:
    fetching.run()
    assert fetching.is_whole()
    progress = fetching.notes.progress
    assert (progress[0], progress[-1]) == (0, len(CONTENT))
    assert progress == sorted(progress)
    assert fetching.notes.said == []


def test_file_that_is_there_is_not_fetched_again(fetching: Fetching) -> None:
    fetching.run()
    fetching.run()
    assert fetching.ranges == [None]


def test_another_file_in_the_place_is_replaced(fetching: Fetching) -> None:
    fetching.download.target.parent.mkdir()
    fetching.download.target.write_bytes(CONTENT[:-1] + b"?")
    fetching.run()
    assert fetching.is_whole()


def test_broken_connection_is_gone_on_with(fetching: Fetching) -> None:
    fetching.run(breaking_off(FIRST), breaking_off(FIRST))
    assert fetching.is_whole()
    assert fetching.ranges == [None, f"bytes={FIRST}-", f"bytes={2 * FIRST}-"]
    assert fetching.pauses == [0.5, 0.5]  # the pause does not grow after progress


def test_silent_connection_is_gone_on_with(fetching: Fetching) -> None:
    fetching.run(fetching.hub.hanging_after(FIRST))
    assert fetching.is_whole()
    assert fetching.ranges == [None, f"bytes={FIRST}-"]
    assert "sends no more data" in fetching.notes.said[0]


def test_later_attempt_goes_on_with_what_an_earlier_one_has_left(fetching: Fetching) -> None:
    with pytest.raises(DownloadError, match="404"):
        fetching.run(breaking_off(FIRST), status(404))
    assert fetching.left() == [fetching.download.part.name]
    fetching.run()
    assert fetching.is_whole()
    assert fetching.ranges[-1] == f"bytes={FIRST}-"


def test_server_that_ignores_ranges_sends_everything_again(fetching: Fetching) -> None:
    fetching.run(breaking_off(FIRST), ignoring_range)
    assert fetching.is_whole()
    assert 0 in fetching.notes.progress[2:]


def test_file_that_changes_between_two_attempts_is_not_mixed(fetching: Fetching) -> None:
    changed = CONTENT[::-1]
    fetching.hub.contents["file"] = changed
    with pytest.raises(DownloadError, match="404"):
        fetching.run(breaking_off(FIRST), status(404))
    fetching.hub.contents["file"] = CONTENT
    fetching.run(breaking_off(FIRST))
    assert fetching.is_whole()
    assert fetching.notes.said[-1] == "The resumed download has the wrong checksum; downloading again"


def test_file_that_changes_within_an_attempt_is_begun_anew(fetching: Fetching) -> None:
    fetching.hub.contents["file"] = CONTENT[::-1]

    def change(seconds: float) -> None:
        fetching.hub.contents["file"] = CONTENT

    fetching.hub.behaviours[:] = [breaking_off(FIRST)]
    with httpx2.Client(timeout=5) as client:
        fetch_file(fetching.download, client, fetching.notes, pause=change)
    assert fetching.is_whole()
    assert len(fetching.ranges) == 2  # If-Range returned the new file as a whole


def test_part_of_another_content_is_dropped(fetching: Fetching) -> None:
    folder = fetching.download.target.parent
    folder.mkdir()
    (folder / "model.gguf.0123456789ab.part").write_bytes(CONTENT[:FIRST])
    (folder / "other.gguf.0123456789ab.part").write_bytes(CONTENT[:FIRST])
    fetching.run()
    assert fetching.left() == ["model.gguf", "other.gguf.0123456789ab.part"]
    assert fetching.ranges == [None]


@pytest.mark.parametrize("rest", [b"", b"?", CONTENT[:FIRST], CONTENT[:-1] + b"?", CONTENT, CONTENT + b"?"])
def test_whatever_is_in_the_part_file_the_whole_is_right(fetching: Fetching, rest: bytes) -> None:
    fetching.download.part.parent.mkdir()
    fetching.download.part.write_bytes(rest)
    fetching.run()
    assert fetching.is_whole()


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (damaged, "does not have the hub's checksum"),
        (claiming(len(CONTENT) - 1), "sends 299999 bytes, but the hub lists 300000"),
        (claiming(len(CONTENT) + 1), "sends 300001 bytes, but the hub lists 300000"),
        (unmeasured(CONTENT + b"?"), "sends more than the 300000 bytes"),
        (unmeasured(b"?" * len(CONTENT)), "does not have the hub's checksum"),
    ],
)
def test_what_is_not_the_announced_file_is_refused_and_dropped(
    fetching: Fetching, behaviour: Behaviour, said: str
) -> None:
    with pytest.raises(DamagedFileError, match=said):
        fetching.run(behaviour)
    assert fetching.left() == []


def test_damaged_rest_is_fetched_once_more_and_then_refused(fetching: Fetching) -> None:
    fetching.run(breaking_off(FIRST), damaged)
    assert fetching.is_whole()
    fetching.download.target.unlink()
    with pytest.raises(DamagedFileError):
        fetching.run(breaking_off(FIRST), damaged, breaking_off(FIRST), damaged)
    assert fetching.left() == []


def test_body_that_ends_too_soon_without_a_length_is_gone_on_with(fetching: Fetching) -> None:
    fetching.run(unmeasured(CONTENT[:-1]))
    assert fetching.is_whole()
    assert fetching.ranges[-1] == f"bytes={len(CONTENT) - 1}-"


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_waited_for(fetching: Fetching, code: int) -> None:
    fetching.run(status(code), status(code))
    assert fetching.is_whole()
    assert fetching.pauses == [0.5, 1]
    assert str(code) in fetching.notes.said[0]


def test_retry_after_is_honoured(fetching: Fetching) -> None:
    fetching.run(status(429, Retry_After="7"), status(503, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"))
    assert fetching.is_whole()
    assert fetching.pauses == [7, 1]


def test_retry_after_beyond_patience_ends_it(fetching: Fetching) -> None:
    with pytest.raises(DownloadError, match="asks to retry in 3600 s"):
        fetching.run(status(429, Retry_After="3600"))
    assert fetching.pauses == []


def test_server_that_always_fails_is_given_up(fetching: Fetching) -> None:
    with pytest.raises(DownloadError, match="given up after 6 attempts"):
        fetching.run(*[status(500)] * 9)
    assert fetching.pauses == [0.5, 1, 2, 4, 8]


@pytest.mark.parametrize("code", [400, 403, 404, 410])
def test_lasting_failures_are_told_at_once(fetching: Fetching, code: int) -> None:
    with pytest.raises(DownloadError, match=str(code)):
        fetching.run(status(code))
    assert fetching.pauses == []


@pytest.mark.parametrize(
    ("location", "said"), [("/cdn/file", "redirects too often"), ("ftp://127.0.0.1/file", "is not an HTTP URL")]
)
def test_redirects_that_lead_nowhere_are_told(fetching: Fetching, location: str, said: str) -> None:
    with pytest.raises(DownloadError, match=said):
        fetching.run(*[status(302, Location=location)] * 30)
    assert fetching.pauses == []


def test_wrong_range_is_refused(fetching: Fetching) -> None:
    def shifted(answer: Answer) -> None:
        answer.start -= 1
        honest(answer)

    with pytest.raises(DownloadError, match="a range that was not requested"):
        fetching.run(breaking_off(FIRST), shifted)
    assert not fetching.download.target.exists()


def test_nobody_listening_is_told_with_the_host(fetching: Fetching, tmp_path: Path) -> None:
    nowhere = Download("http://127.0.0.1:9/file", tmp_path / "model.gguf", len(CONTENT), fetching.download.checksum)
    with httpx2.Client() as client, pytest.raises(DownloadError, match=r"cannot reach 127\.0\.0\.1"):
        fetch_file(nowhere, client, fetching.notes, pause=fetching.pauses.append)


def test_git_checksum_is_that_of_git() -> None:
    digest = Checksum("git", "").start(6)
    digest.update(b"hello\n")
    assert digest.hexdigest() == "ce013625030ba8dba906f756967f9e9ca394464a"  # echo hello | git hash-object --stdin


def test_disk_too_full_is_told_beforehand(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="not enough disk space"):
        check_disk_space(tmp_path, 10**18)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Function that mounts a disk of the given size and returns its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or not mount:
        pytest.skip("only root can mount a small disk")
    if subprocess.run([mount, "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")

    def resize(size: str) -> Path:
        subprocess.run([mount, "-o", f"remount,size={size}", folder], check=True)
        return folder

    yield resize
    subprocess.run(["umount", folder], check=True)


def test_full_disk_keeps_what_has_come(fetching: Fetching, small_disk: Callable[[str], Path]) -> None:
    target = small_disk("128k") / "model.gguf"
    small = replace(fetching, download=replace(fetching.download, target=target))
    with pytest.raises(DiskFullError, match="No space left on device"):
        small.run()
    assert small.left() == [small.download.part.name]
    small_disk("1m")
    small.run()
    assert small.is_whole()
    assert small.ranges[-1] != small.ranges[0]


def test_disk_that_others_fill_meanwhile_is_left_some_room(
    fetching: Fetching, small_disk: Callable[[str], Path]
) -> None:
    content = bytes(SPARE_DISK // 8)
    fetching.hub.contents["file"] = content
    target = small_disk(str(SPARE_DISK + len(content) - 2**20)) / "model.gguf"
    download = replace(
        fetching.download,
        target=target,
        size=len(content),
        checksum=Checksum("sha256", hashlib.sha256(content).hexdigest()),
    )
    with httpx2.Client() as client, pytest.raises(DiskFullError, match="not enough disk space"):
        fetch_file(download, client, SilentWatcher())
    assert 0 < download.part.stat().st_size < len(content)
