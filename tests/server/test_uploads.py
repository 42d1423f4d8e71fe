"""Uploads over HTTP: forms, refusals, and the state after failures."""

import asyncio
import hashlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponant.errors import InvalidRequestError
from ponant.server.multipart import FilePart, FormReader
from tests.chatting import CHAT, assert_error, body
from tests.in_process import serving_scripted
from tests.server.files import FILE, FILES, LINE, MEGABYTE, PURPOSE, clean, form, kept, post, upload, uploaded
from tests.serving import EXACT, RunningServer, ServerProcess, serving, wait_until
from tests.soak import SOAK


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(tiny_model: Path, data: Path) -> Iterator[ServerProcess]:
    """Server with an accessible data folder. Tests leave no files there."""
    with serving(str(tiny_model), "--data-dir", str(data), **EXACT) as running:
        yield running


@pytest.fixture
def client(server: RunningServer, data: Path) -> Iterator[httpx2.Client]:
    with clean(server, data) as made:
        yield made


NONE_ARE_LINES = {
    "not JSON": (b"Hello\n", "Line 1 of this one is not: it is not JSON"),
    "a bad line among good ones": (LINE * 20_000 + b"{,}\n" + LINE, "Line 20001"),
    "an array": (b"[1]\n", "not a JSON object"),
    "deep nesting": (b'{"a":' * 100_000, "nested too deeply"),
    "UTF-16": (LINE.decode().encode("utf-16"), "UTF-16"),
    "Latin-1": ('{"a": "é"}'.encode("latin-1"), "not UTF-8"),
    "a program": (Path("/proc/self/exe").read_bytes()[:MEGABYTE], "line 1: it is not UTF-8"),
    "nothing": (b"", "empty"),
    "blank lines": (b"\n\n", "blank"),
}


@pytest.mark.parametrize("order", ["purpose first", "file first"])
@pytest.mark.parametrize(("content", "words"), NONE_ARE_LINES.values(), ids=NONE_ARE_LINES)
def test_dataset_that_is_none_is_refused(
    client: httpx2.Client, data: Path, content: bytes, words: str, order: str
) -> None:
    parts = [PURPOSE, (FILE[0], content)]
    response = post(client, form(*(parts if order == "purpose first" else reversed(parts))))
    assert response.status_code == 400, response.text
    assert words in response.json()["message"]
    assert response.json()["param"] == "file"
    assert kept(data) == []


def test_other_purposes_take_any_content_whatever_comes_first(client: httpx2.Client) -> None:
    for parts in (("purpose", "file"), ("file", "purpose")):
        both = {"purpose": ('name="purpose"', b"ocr"), "file": ('name="file"; filename="a"', b"\xff{" * 1000)}
        assert post(client, form(*(both[name] for name in parts))).status_code == 200


def pieces_of(content: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """Yield a form whose file is generated while it is sent."""
    whole = form(PURPOSE, (FILE[0], b"@"))
    head, tail = whole.split(b"@")
    yield head
    yield from content()
    yield tail


def memory(server: ServerProcess) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


def test_endless_line_is_refused_in_little_memory(client: httpx2.Client, server: ServerProcess, data: Path) -> None:
    before = memory(server)
    piece = b"x" * MEGABYTE
    response = post(client, pieces_of(lambda: (piece for _ in range(200))))
    assert "longer than 4 MiB" in assert_error(response, 400, "invalid_file")
    assert memory(server) - before < 60 * MEGABYTE
    assert kept(data) == []


def test_large_file_comes_whole_in_little_memory(client: httpx2.Client, server: ServerProcess, data: Path) -> None:
    uploaded(client, LINE * 30_000)
    before = memory(server)
    piece, count = LINE * 10_000, 130 if SOAK else 80
    highest = 0

    def content() -> Iterator[bytes]:
        nonlocal highest
        for _ in range(count):
            highest = max(highest, memory(server))
            yield piece

    response = post(client, pieces_of(content))
    assert response.status_code == 200, response.text
    file = response.json()
    assert (file["bytes"], file["num_lines"]) == (len(piece) * count, 10_000 * count)
    assert file["bytes"] > (115 if SOAK else 70) * MEGABYTE
    assert highest - before < 60 * MEGABYTE
    digest = hashlib.sha256()
    with client.stream("GET", f"{FILES}/{file['id']}/content") as downloaded:
        for part in downloaded.iter_bytes():
            digest.update(part)
    assert digest.hexdigest() == file["signature"] == hashlib.sha256(piece * count).hexdigest()
    assert memory(server) - before < 60 * MEGABYTE


async def test_ten_uploads_at_once(client: httpx2.Client, server: RunningServer, data: Path) -> None:
    contents = [b'{"number": %d}\n' % number * 100_000 for number in range(10)]
    async with httpx2.AsyncClient(base_url=server.url, timeout=120) as many:
        answers = await asyncio.gather(
            *(many.post(FILES, files={"file": (f"{number}.jsonl", content)}) for number, content in enumerate(contents))
        )
    for number, response in enumerate(answers):
        assert response.status_code == 200, response.text
        file = response.json()
        assert file["filename"] == f"{number}.jsonl"
        assert file["signature"] == hashlib.sha256(contents[number]).hexdigest()
    assert len(kept(data)) == 10


@pytest.mark.parametrize(
    "name",
    ["..", ".", " ", "a\tb", "x" * 256, "x" * 10_000, ""],
)
def test_tricks_in_names_are_refused(client: httpx2.Client, data: Path, name: str) -> None:
    response = post(client, form(PURPOSE, (f'name="file"; filename="{name}"', LINE)))
    assert_error(response, 400, "invalid_request_error")
    assert kept(data) == []


def test_bytes_that_no_name_has_are_refused(client: httpx2.Client) -> None:
    for name in (b"a\0b", b"\xff\xfe", b"a\x1bb"):
        content = form(PURPOSE, ('name="file"; filename="@"', LINE)).replace(b"@", name)
        assert_error(post(client, content), 400, "invalid_request_error")


FORMS = {
    "no file": (form(PURPOSE), 422),
    "an empty form": (form(), 422),
    "two files": (form(PURPOSE, FILE, FILE), 400),
    "two purposes": (form(PURPOSE, PURPOSE, FILE), 400),
    "a file that is none": (form(PURPOSE, ('name="file"', LINE)), 400),
    "a purpose that is a file": (form(('name="purpose"; filename="a"', b"fine-tune"), FILE), 400),
    "no name": (form(PURPOSE, ('filename="a"', LINE)), 400),
    "an unknown field": (form(PURPOSE, FILE, ('name="colour"', b"blue")), 422),
    "an unknown purpose": (form(('name="purpose"', b"fun"), FILE), 422),
    "an unknown purpose, late": (form(FILE, ('name="purpose"', b"fun")), 422),
    "an expiry that is no number": (form(FILE, ('name="expiry"', b"soon")), 422),
    "an expiry in the past": (form(FILE, ('name="expiry"', b"-1")), 400),
    "an expiry without end": (form(FILE, ('name="expiry"', b"9" * 30)), 400),
    "a field without end": (form(('name="purpose"', b"x" * 100_000), FILE), 400),
    "21 fields": (form(*((f'name="field{number}"', b"x") for number in range(21)), FILE), 400),
    "21 fields after the file": (form(FILE, *((f'name="field{number}"', b"x") for number in range(21))), 400),
    "20 unknown fields": (form(*((f'name="field{number}"', b"x" * 65_536) for number in range(20)), FILE), 422),
    "many headers": (form(('name="purpose"' + "\r\na: b" * 1000, b"fine-tune"), FILE), 400),
    "long headers": (form(('name="purpose"\r\na: ' + "b" * 100_000, b"fine-tune"), FILE), 400),
    "another boundary": (form(PURPOSE, FILE, boundary="abc"), 400),
    "no end": (form(PURPOSE, FILE)[:-9], 400),
    "half of it": (form(PURPOSE, FILE)[:-80], 400),
    "nothing": (b"", 400),
    "no form": (b"Hello" * 1000, 400),
}


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "in chunks"])
@pytest.mark.parametrize(("content", "status"), FORMS.values(), ids=FORMS)
def test_broken_form_is_refused(client: httpx2.Client, data: Path, content: bytes, status: int, chunked: bool) -> None:
    response = post(client, iter([content[:50], content[50:]]) if chunked else content)
    assert response.status_code == status, response.text
    assert len(response.content) < 17_000
    if status == 422:
        assert response.json()["detail"][0]["loc"][0] == "body"
    else:
        assert_error(response, status, "invalid_request_error")
    assert kept(data) == []


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "multipart/mixed; boundary=xyz", ""])
def test_other_bodies_are_refused(client: httpx2.Client, kind: str) -> None:
    response = client.post(FILES, content=form(PURPOSE, FILE), headers={"content-type": kind})
    assert "multipart/form-data" in assert_error(response, 400, "invalid_request_error")


def test_form_that_comes_in_single_bytes_is_read(client: httpx2.Client) -> None:
    whole = form(PURPOSE, FILE)
    response = post(client, (whole[at : at + 1] for at in range(len(whole))))
    assert response.status_code == 200, response.text
    assert response.json()["bytes"] == len(LINE)


class Sink:
    """Receiver that keeps the file of a form."""

    def __init__(self) -> None:
        self.content = b""

    def begin(self, part: FilePart, fields: dict[str, str]) -> None:
        self.part = part

    def write(self, data: bytes) -> None:
        self.content += data


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.sampled_from(["", "\r\n", "--xyz--", "\n--xyz", "\r\n--xy"]), st.integers(1, 99))
def test_content_of_a_form_is_taken_as_it_is(content: bytes, middle: str, size: int) -> None:
    content = (content + middle.encode() + content).replace(b"\r\n--xyz", b"")
    whole = form(PURPOSE, (FILE[0], content))
    sink = Sink()
    reader = FormReader("multipart/form-data; boundary=xyz", "file", sink)
    for at in range(0, len(whole), size):
        reader.feed(whole[at : at + size])
    reader.finish()
    assert (sink.content, reader.fields, sink.part) == (
        content,
        {"purpose": "fine-tune"},
        FilePart("train.jsonl", None),
    )


SHARDS = [b"--xyz", b"\r\n", b"--", b"Content-Disposition:", b" form-data; name=", b'"file"', b"; filename=a", b"x"]


@given(st.lists(st.sampled_from(SHARDS) | st.binary(max_size=5)))
def test_bytes_that_are_no_form_are_refused_in_order(parts: list[bytes]) -> None:
    reader = FormReader("multipart/form-data; boundary=xyz", "file", Sink())
    try:
        for part in parts:
            reader.feed(part)
        reader.finish()
    except InvalidRequestError:
        pass


def test_file_over_the_limit_is_refused_and_other_bodies_keep_theirs(tiny_model: Path, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"max_file_size": "100kB", "max_body_size": "10kB"}
    with serving_scripted(tiny_model, data_dir=tmp_path, **limits) as server, server.client() as client:
        fits, too_large = b" " * (100_000 - len(LINE)) + LINE, b" " * (100_001 - len(LINE)) + LINE
        assert upload(client, fits).status_code == 200
        for content in (form(PURPOSE, (FILE[0], too_large)), form(PURPOSE, (FILE[0], too_large * 3))):
            assert_error(post(client, content), 413, "request_too_large")
            assert_error(post(client, iter([content[:60_000], content[60_000:]])), 413, "request_too_large")
        assert_error(client.post(CHAT, json=body("x" * 20_000)), 413, "request_too_large")
        assert_error(client.put(FILES, content=b"x" * 20_000), 413, "request_too_large")
        assert len(kept(tmp_path)) == 1


def begin_upload(server: RunningServer, content: bytes) -> socket.socket:
    """Begin an upload that never ends."""
    url = httpx2.URL(server.url)
    assert url.port
    connection = socket.create_connection((url.host, url.port))
    head, _ = form(PURPOSE, (FILE[0], b"@")).split(b"@")
    connection.sendall(
        f"POST {FILES} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=xyz\r\n"
        f"Content-Length: {100 * MEGABYTE}\r\n\r\n".encode()
        + head
        + content
    )
    return connection


def is_being_written(data: Path) -> bool:
    return any(path.stat().st_size for path in (data / "files").glob("*.part"))


def test_client_that_goes_away_leaves_nothing(client: httpx2.Client, server: RunningServer, data: Path) -> None:
    with begin_upload(server, LINE * 20_000):
        wait_until(lambda: is_being_written(data))
    wait_until(lambda: kept(data) == [])


def test_killed_server_leaves_nothing_but_whole_files(tiny_model: Path, tmp_path: Path) -> None:
    arguments = (str(tiny_model), "--threads", "1", "--data-dir", str(tmp_path))
    with serving(*arguments, **EXACT) as server, server.client() as client:
        file = uploaded(client)
        with begin_upload(server, LINE * 20_000):
            wait_until(lambda: is_being_written(tmp_path))
            with serving(*arguments, **EXACT) as second, second.client() as other:
                assert is_being_written(tmp_path), "another server's start does not disturb the upload"
                assert other.get(f"{FILES}/{file['id']}/content").content == LINE
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
    assert is_being_written(tmp_path)
    with serving(*arguments, **EXACT) as server, server.client() as client:
        assert kept(tmp_path) == [file["id"]]
        assert client.get(f"{FILES}/{file['id']}").json()["signature"] == hashlib.sha256(LINE).hexdigest()
        assert client.get(FILES).json()["total"] == 1


def test_server_that_is_told_to_end_leaves_nothing(tiny_model: Path, tmp_path: Path) -> None:
    arguments = (str(tiny_model), "--threads", "1", "--data-dir", str(tmp_path))
    with serving(*arguments, PONANT_SHUTDOWN_TIMEOUT="0", **EXACT) as server, begin_upload(server, LINE * 20_000):
        wait_until(lambda: is_being_written(tmp_path))
        os.kill(server.process.pid, signal.SIGTERM)
        server.process.wait(60)
    assert kept(tmp_path) == []


def test_full_disk_is_told_and_leaves_nothing(tiny_model: Path, full_disk: Callable[[int], Path]) -> None:
    data = full_disk(4 * MEGABYTE)
    arguments = (str(tiny_model), "--threads", "1", "--data-dir", str(data))
    with serving(*arguments, **EXACT) as server, server.client() as client:
        file = uploaded(client)
        assert_error(upload(client, LINE * 100_000), 507, "insufficient_storage")
        assert kept(data) == [file["id"]]
        assert client.get(f"{FILES}/{file['id']}/content").content == LINE
        assert client.post(CHAT, json=body()).status_code == 200
        assert uploaded(client, LINE * 2)["bytes"] == 2 * len(LINE)


def test_chat_goes_on_while_a_file_is_uploaded(client: httpx2.Client, server: RunningServer) -> None:
    with begin_upload(server, LINE), server.client() as other:
        assert json.loads(other.post(CHAT, json=body()).text)["choices"]
