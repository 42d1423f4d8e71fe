"""``files`` has the official client's parameters and sends them unchanged, contents in pieces."""

import inspect
import io
import threading
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from mistralai.client import models as official_models
from mistralai.client.files import Files as OfficialFiles
from mistralai.client.types import UNSET as OFFICIAL_UNSET

from ponant import Mistral, models, utils
from ponant.client.files import Files
from tests.client.ways import WAYS, Way
from tests.soak import some

OPERATIONS = ["upload", "list", "retrieve", "delete", "download", "get_signed_url"]
LINE = b'{"messages": [{"role": "user", "content": "Hello"}]}\n'
FILE = {
    "id": "7b1f2a52-0000-4000-8000-000000000000",
    "object": "file",
    "bytes": 5,
    "created_at": 1,
    "filename": "a.jsonl",
    "purpose": "fun",
    "sample_type": "instruct",
    "source": "upload",
    "mood": "fine",
}


@pytest.mark.parametrize("name", [name + suffix for name in OPERATIONS for suffix in ("", "_async")])
def test_parameters_are_the_official_clients(name: str) -> None:
    ours = inspect.signature(getattr(Files, name)).parameters
    theirs = inspect.signature(getattr(OfficialFiles, name)).parameters
    assert list(ours) == list(theirs)
    for parameter, official in theirs.items():
        default = utils.UNSET if official.default == OFFICIAL_UNSET else official.default
        assert ours[parameter].default == default, parameter
        assert ours[parameter].kind is official.kind, parameter


@pytest.mark.parametrize(
    "name",
    [
        "CreateFileResponse",
        "DeleteFileResponse",
        "File",
        "FileSchema",
        "GetFileResponse",
        "GetSignedURLResponse",
        "ListFilesResponse",
    ],
)
def test_types_are_the_official_clients(name: str) -> None:
    assert set(getattr(models, name).model_fields) == set(getattr(official_models, name).model_fields)


def sent(answers: int = 1, **given: Any) -> list[bytes]:
    """Return the bodies of an upload's requests, of which the last one succeeds."""
    bodies: list[bytes] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.read())
        return httpx2.Response(200, json=FILE) if len(bodies) == answers else httpx2.Response(503)

    backoff = utils.RetryConfig("backoff", utils.BackoffStrategy(1, 1, 1, 10_000), retry_connection_errors=True)
    client = Mistral(client=httpx2.Client(transport=httpx2.MockTransport(respond)), retry_config=backoff)
    file = client.files.upload(**given)
    assert (file.size_bytes, file.purpose, file.model_extra) == (5, "fun", {"mood": "fine"})
    return bodies


def test_only_what_is_given_is_sent() -> None:
    (body,) = sent(file={"file_name": "a.jsonl", "content": b"Hello"}, visibility=None)
    assert body.count(b"name=") == 2, "the names of the field and of the file"
    assert b'name="file"; filename="a.jsonl"\r\nContent-Type: application/octet-stream\r\n\r\nHello\r\n' in body
    (body,) = sent(file=models.File(file_name="a", content=b"Hello", content_type="text/x"), expiry=3, purpose="ocr")
    assert b'name="expiry"\r\n\r\n3\r\n' in body
    assert b'name="purpose"\r\n\r\nocr\r\n' in body
    assert b'name="visibility"\r\n\r\nworkspace\r\n' in body
    assert b"Content-Type: text/x\r\n" in body


def test_path_is_opened_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINE)
    before = psutil.Process().num_fds()
    for file in (path, str(path), {"file_name": "a.jsonl", "content": path}):
        for body in sent(answers=3, file=file):
            assert b'filename="a.jsonl"' in body
            assert LINE in body
    assert psutil.Process().num_fds() == before
    with pytest.raises(FileNotFoundError):
        Mistral().files.upload(file=tmp_path / "none")


def test_given_file_stays_open_and_is_sent_again_from_its_beginning() -> None:
    content = io.BytesIO(LINE)
    first, second = sent(answers=2, file={"file_name": "a.jsonl", "content": content})
    assert LINE in first
    assert LINE in second
    assert not content.closed


class Pipe(io.RawIOBase):
    """File that can be read only once."""

    def __init__(self) -> None:
        self.rest = [LINE]

    def read(self, size: int = -1) -> bytes:
        return self.rest.pop() if self.rest else b""


def test_what_can_be_read_only_once_is_sent_only_once() -> None:
    (body,) = sent(file={"file_name": "a.jsonl", "content": Pipe()})
    assert LINE in body
    with pytest.raises(models.SDKError):
        sent(answers=2, file={"file_name": "a.jsonl", "content": Pipe()})


@pytest.mark.parametrize("content", ["text", 5, None])
def test_content_that_is_none_is_refused(content: Any) -> None:
    with pytest.raises(TypeError, match="the content of a file must be bytes"):
        Mistral().files.upload(file={"file_name": "a", "content": content})


@pytest.mark.parametrize("way", some(WAYS, 0, 3), indirect=True)
def test_large_file_is_never_held(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        for _ in range(30):
            file.write(LINE * 20_000)
    highest, done = psutil.Process().memory_info().rss, threading.Event()
    before = highest

    def look() -> None:
        nonlocal highest
        while not done.wait(0.02):
            highest = max(highest, psutil.Process().memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        uploaded = way.call("files.upload", file=path)
    finally:
        done.set()
        watcher.join()
    way.call("files.delete", file_id=uploaded.id)
    assert uploaded.size_bytes == path.stat().st_size > 30_000_000
    assert highest - before < 20_000_000


class Failing(io.BytesIO):
    """File that fails while it is read."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError("the disk is broken")


def test_content_that_cannot_be_read_raises_why_and_leaves_nothing(way: Way) -> None:
    with pytest.raises(OSError, match="the disk is broken"):
        way.call("files.upload", file={"file_name": "broken.jsonl", "content": Failing(LINE)})
    assert way.call("files.list", search="broken").data == []
