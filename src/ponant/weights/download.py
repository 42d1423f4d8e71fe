"""A file from an HTTP server onto the disk: resumed where it broke off, checked, and in its place only when whole.

What has come so far is in a ``.part`` file beside the target, which has the beginning of the checksum in its name: only
a download of the same content goes on with it, also in another process.
"""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx2

from ponant.sizes import megabytes
from ponant.weights.attempts import (
    PERMANENT_ERRORS,
    RETRYABLE_STATUSES,
    Attempts,
    DownloadError,
    RefusedError,
    RetryableError,
    Watcher,
    describe_failure,
    retry_after,
)

SPARE_DISK = 256 * 2**20
"""Bytes that a download leaves free."""

_BETWEEN_DISK_CHECKS = 16 * 2**20
_READ_SIZE = 2**20


class DamagedFileError(DownloadError):
    """What came is not the file that was announced."""


class DiskFullError(DownloadError):
    """There is not enough room. What has come stays, for the next time."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """The checksum of a file's content: its SHA-256, or the SHA-1 by which Git knows it. ``value`` is hexadecimal."""

    kind: Literal["sha256", "git"]
    value: str

    def start(self, size: int) -> "hashlib._Hash":
        """What is to be updated with the content of a file of this size in bytes."""
        if self.kind == "sha256":
            return hashlib.sha256()
        return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Download:
    """A file to fetch: where from and where to, its size in bytes, and its checksum."""

    url: str
    target: Path
    size: int
    checksum: Checksum

    @property
    def part(self) -> Path:
        """The file of what has come so far."""
        return self.target.with_name(f"{self.target.name}.{self.checksum.value[:12]}.part")

    def missing_bytes(self) -> int:
        """How many bytes are still to come."""
        if self.target.is_file():
            return 0
        return max(0, self.size - (self.part.stat().st_size if self.part.is_file() else 0))

    def is_complete(self) -> bool:
        """Whether the file is in its place, which is read for that."""
        if not self.target.is_file() or self.target.stat().st_size != self.size:
            return False
        digest = self.checksum.start(self.size)
        _read_into(digest, self.target)
        return digest.hexdigest() == self.checksum.value


def check_disk_space(folder: Path, needed: int) -> None:
    """Raise DiskFullError unless the disk of this folder has room for so many bytes, and some to spare."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_DISK:
        raise DiskFullError(
            f"the disk of {folder} is too full: {megabytes(needed)} are to come and {megabytes(SPARE_DISK)} are to "
            f"spare, {megabytes(max(0, free))} are free"
        )


def fetch_file(
    download: Download, client: httpx2.Client, watcher: Watcher, *, pause: Callable[[float], None] = time.sleep
) -> None:
    """Put a file into its place. One process at a time may do that with a target.

    Args:
        download: what to fetch. Its folder is made if it is not there.
        client: goes on to where it is redirected, and has the time limits.
        watcher: is told how it goes.
        pause: waits for so many seconds.

    Raises:
        DamagedFileError: what came is not what was announced; nothing of it is left.
        DiskFullError: there is no room.
        DownloadError: the server fails again and again, or refuses. What has come is left.
    """
    if download.is_complete():
        return
    folder = download.target.parent
    folder.mkdir(parents=True, exist_ok=True)
    download.target.unlink(missing_ok=True)
    for part in folder.glob("*.part"):
        if part.name.startswith(f"{download.target.name}.") and part != download.part:
            part.unlink()
    transfer = _Transfer(download, client, watcher, Attempts(watcher, pause))
    try:
        transfer.run()
    except OSError as error:
        kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else DownloadError
        raise kind(f"cannot write {download.part}: {error.strerror}") from error


@dataclass
class _Transfer:
    """One download in progress. ``digest`` has seen the first ``done`` bytes, which are in the part file."""

    download: Download
    client: httpx2.Client
    watcher: Watcher
    attempts: Attempts
    done: int = 0
    digest: "hashlib._Hash" = field(init=False)
    etag: str | None = None
    was_resumed: bool = False
    """Whether what is in the part file came in several pieces."""
    was_restarted: bool = False

    def run(self) -> None:
        size, part = self.download.size, self.download.part
        self.digest = self.download.checksum.start(size)
        with part.open("ab", buffering=0) as file:
            self._resume(os.fstat(file.fileno()).st_size)
            self.watcher.begin(self.download.target.name, size, self.done)
            while True:
                self._fetch_rest(file.fileno())
                if self.digest.hexdigest() == self.download.checksum.value:
                    break
                if not self.was_resumed or self.was_restarted:
                    self._delete_part()
                    raise DamagedFileError("what came has another checksum than the hub announces; nothing is kept")
                self.watcher.say("What came in several pieces has the wrong checksum; fetching it anew")
                self.was_restarted = True
                self._restart(file.fileno())
            os.fsync(file.fileno())
        part.replace(self.download.target)
        _sync_folder(part.parent)

    def _resume(self, length: int) -> None:
        """Go on from what another process has left."""
        if not length:
            return
        self.was_resumed = True
        if length > self.download.size:
            return
        _read_into(self.digest, self.download.part)
        self.done = length

    def _fetch_rest(self, file: int) -> None:
        """Fetch until all bytes are there."""
        if self.done != os.fstat(file).st_size:
            self._restart(file)
        while self.done < self.download.size:
            before = self.done
            try:
                self._receive(file)
                reason, asked = "the connection ended early", None
            except RetryableError as error:
                reason, asked = str(error), retry_after(error.response)
            except PERMANENT_ERRORS as error:
                raise DownloadError(describe_failure(error)) from error
            except httpx2.TransportError as error:
                reason, asked = describe_failure(error), None
            if self.done == self.download.size:
                break
            if self.done > before:
                self.attempts.reset()
            self.was_resumed = self.was_resumed or self.done > 0
            self.attempts.failed(reason, asked)

    def _receive(self, file: int) -> None:
        headers = {"accept-encoding": "identity"}
        if self.done:
            headers["range"] = f"bytes={self.done}-"
            if self.etag:
                headers["if-range"] = self.etag
        with self.client.stream("GET", self.download.url, headers=headers) as response:
            if response.status_code in RETRYABLE_STATUSES:
                raise RetryableError(response)
            if response.status_code == 416 and self.done:
                self._restart(file)  # it has less than has come
                raise RetryableError(response)
            if response.status_code not in (200, 206):
                raise RefusedError(response)
            self._check_headers(response, file)
            self.etag = _strong(response.headers.get("etag"))
            for chunk in response.iter_raw():
                self._write(file, chunk)

    def _check_headers(self, response: httpx2.Response, file: int) -> None:
        """See that this is the rest of the file, or all of it: then what has come is dropped."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise DownloadError("the server sends it compressed, which was not asked for")
        if response.status_code == 200 and self.done:
            self._restart(file)
        length = response.headers.get("content-length", "")
        if not length.isdecimal():
            total = None
        elif response.status_code == 200:
            total = int(length)
        else:
            total = self.done + int(length)
        if response.status_code == 206 and not response.headers.get("content-range", "").startswith(
            f"bytes {self.done}-"
        ):
            raise DownloadError("the server sends another part of it than was asked for")
        if total is not None and total != self.download.size:
            self._delete_part()
            raise DamagedFileError(
                f"the server sends {total} bytes of what has {self.download.size} bytes by the hub's list"
            )

    def _write(self, file: int, chunk: bytes) -> None:
        if self.done + len(chunk) > self.download.size:
            self._delete_part()
            raise DamagedFileError(f"the server sends more than the {self.download.size} bytes of the hub's list")
        if self.done // _BETWEEN_DISK_CHECKS != (self.done + len(chunk)) // _BETWEEN_DISK_CHECKS:
            check_disk_space(self.download.target.parent, self.download.size - self.done)
        view = memoryview(chunk)
        while view:
            view = view[os.write(file, view) :]
        self.digest.update(chunk)
        self.done += len(chunk)
        self.watcher.advance(self.done)

    def _restart(self, file: int) -> None:
        """Begin anew."""
        os.ftruncate(file, 0)
        self.done = 0
        self.etag = None
        self.was_resumed = False
        self.digest = self.download.checksum.start(self.download.size)
        self.watcher.advance(0)

    def _delete_part(self) -> None:
        self.download.part.unlink(missing_ok=True)


def _strong(etag: str | None) -> str | None:
    """An ETag that may stand in If-Range: not a weak one."""
    return etag if etag and not etag.startswith("W/") else None


def _read_into(digest: "hashlib._Hash", path: Path) -> None:
    with path.open("rb") as file:
        while block := file.read(_READ_SIZE):
            digest.update(block)


def _sync_folder(folder: Path) -> None:
    """See to it that a file's new name is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
