"""Downloads of files over HTTP: resumable, verified, and renamed to the target when complete.

Received data is stored in a ``.part`` file in the folder of the target. Its name contains the beginning of the
checksum, so that only a download of the same content resumes it, possibly in another process.
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

from ponant.private_files import make_folder, open_file
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
"""Disk space that a download leaves free, in bytes."""

_BETWEEN_DISK_CHECKS = 16 * 2**20
_READ_SIZE = 2**20


class DamagedFileError(DownloadError):
    """The received data is not the announced file."""


class DiskFullError(DownloadError):
    """The disk is full. Received data is kept for the next attempt."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """The checksum of a file: its SHA-256, or the SHA-1 of its Git blob. ``value`` is hexadecimal."""

    kind: Literal["sha256", "git"]
    value: str

    def start(self, size: int) -> "hashlib._Hash":
        """Return a hash object for the content of a file of this size in bytes."""
        if self.kind == "sha256":
            return hashlib.sha256()
        return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Download:
    """A file to download: its URL, target, size in bytes, and checksum."""

    url: str
    target: Path
    size: int
    checksum: Checksum

    @property
    def part(self) -> Path:
        """File of the received data."""
        return self.target.with_name(f"{self.target.name}.{self.checksum.value[:12]}.part")

    def missing_bytes(self) -> int:
        """Return the number of bytes that are not received yet."""
        if self.target.is_file():
            return 0
        return max(0, self.size - (self.part.stat().st_size if self.part.is_file() else 0))

    def is_complete(self) -> bool:
        """Return True if the target exists with the right checksum. Reads the whole file."""
        if not self.target.is_file() or self.target.stat().st_size != self.size:
            return False
        digest = self.checksum.start(self.size)
        _read_into(digest, self.target)
        return digest.hexdigest() == self.checksum.value


def check_disk_space(folder: Path, needed: int) -> None:
    """Raise DiskFullError unless the disk of a folder has room for ``needed`` bytes and the reserve."""
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_DISK:
        raise DiskFullError(
            f"not enough disk space in {folder}: {megabytes(needed)} and a reserve of {megabytes(SPARE_DISK)} are "
            f"needed, {megabytes(max(0, free))} are free"
        )


def fetch_file(
    download: Download, client: httpx2.Client, watcher: Watcher, *, pause: Callable[[float], None] = time.sleep
) -> None:
    """Download a file to its target. Only one process at a time may download to a target.

    Args:
        download: the file. Its folder is created if necessary.
        client: HTTP client; it follows redirects and sets timeouts.
        watcher: receives the progress.
        pause: sleeps for a number of seconds.

    Raises:
        DamagedFileError: the received data is not the announced file. It is deleted.
        DiskFullError: the disk is full.
        DownloadError: the server refuses or fails repeatedly. Received data is kept.
    """
    if download.is_complete():
        return
    folder = download.target.parent
    make_folder(folder)
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
    """A download in progress. ``digest`` covers the first ``done`` bytes, which are in the part file."""

    download: Download
    client: httpx2.Client
    watcher: Watcher
    attempts: Attempts
    done: int = 0
    digest: "hashlib._Hash" = field(init=False)
    etag: str | None = None
    was_resumed: bool = False
    """True if the part file was received in several pieces."""
    was_restarted: bool = False

    def run(self) -> None:
        size, part = self.download.size, self.download.part
        self.digest = self.download.checksum.start(size)
        with open_file(part, "ab") as file:
            self._resume(os.fstat(file.fileno()).st_size)
            self.watcher.begin(self.download.target.name, size, self.done)
            while True:
                self._fetch_rest(file.fileno())
                if self.digest.hexdigest() == self.download.checksum.value:
                    break
                if not self.was_resumed or self.was_restarted:
                    self._delete_part()
                    raise DamagedFileError("the received data does not have the hub's checksum; it was deleted")
                self.watcher.say("The resumed download has the wrong checksum; downloading again")
                self.was_restarted = True
                self._restart(file.fileno())
            os.fsync(file.fileno())
        part.replace(self.download.target)
        _sync_folder(part.parent)

    def _resume(self, length: int) -> None:
        """Resume from the data of an earlier process."""
        if not length:
            return
        self.was_resumed = True
        if length > self.download.size:
            return
        _read_into(self.digest, self.download.part)
        self.done = length

    def _fetch_rest(self, file: int) -> None:
        """Receive the remaining bytes, with retries."""
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
                self._restart(file)  # the part file is longer than the server's file
                raise RetryableError(response)
            if response.status_code not in (200, 206):
                raise RefusedError(response)
            self._check_headers(response, file)
            self.etag = _strong(response.headers.get("etag"))
            for chunk in response.iter_raw():
                self._write(file, chunk)

    def _check_headers(self, response: httpx2.Response, file: int) -> None:
        """Check that the response is the rest of the file, or all of it; restart in the second case."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise DownloadError("the server sends compressed data, which was not requested")
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
            raise DownloadError("the server sends a range that was not requested")
        if total is not None and total != self.download.size:
            self._delete_part()
            raise DamagedFileError(f"the server sends {total} bytes, but the hub lists {self.download.size} bytes")

    def _write(self, file: int, chunk: bytes) -> None:
        if self.done + len(chunk) > self.download.size:
            self._delete_part()
            raise DamagedFileError(f"the server sends more than the {self.download.size} bytes that the hub lists")
        if self.done // _BETWEEN_DISK_CHECKS != (self.done + len(chunk)) // _BETWEEN_DISK_CHECKS:
            check_disk_space(self.download.target.parent, self.download.size - self.done)
        view = memoryview(chunk)
        while view:
            view = view[os.write(file, view) :]
        self.digest.update(chunk)
        self.done += len(chunk)
        self.watcher.advance(self.done)

    def _restart(self, file: int) -> None:
        """Start from the first byte."""
        os.ftruncate(file, 0)
        self.done = 0
        self.etag = None
        self.was_resumed = False
        self.digest = self.download.checksum.start(self.download.size)
        self.watcher.advance(0)

    def _delete_part(self) -> None:
        self.download.part.unlink(missing_ok=True)


def _strong(etag: str | None) -> str | None:
    """Return the ETag if it is strong, as If-Range requires."""
    return etag if etag and not etag.startswith("W/") else None


def _read_into(digest: "hashlib._Hash", path: Path) -> None:
    with open_file(path, "rb") as file:
        while block := file.read(_READ_SIZE):
            digest.update(block)


def _sync_folder(folder: Path) -> None:
    """Flush a renamed file's directory entry to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
