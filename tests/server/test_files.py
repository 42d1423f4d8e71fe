"""Files over HTTP: their description, lists, contents and signed addresses."""

import hashlib
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.responses import FileResponse

from ponant.storage.files import FileStore
from ponant.storage.signing import Signer
from tests.chatting import assert_error
from tests.in_process import ScriptedServer, serving_scripted
from tests.server.files import FILES, LINE, clean, kept, uploaded
from tests.serving import RunningServer, environment, ponant


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(tiny_model: Path, data: Path) -> Iterator[ScriptedServer]:
    """Server with an accessible data folder. Tests leave no files there."""
    with serving_scripted(tiny_model, data_dir=data) as running:
        yield running


@pytest.fixture
def client(server: RunningServer, data: Path) -> Iterator[httpx2.Client]:
    with clean(server, data) as made:
        yield made


def test_uploaded_file_is_what_was_sent(client: httpx2.Client, data: Path) -> None:
    content = LINE * 3
    file = uploaded(client, content)
    assert abs(file.pop("created_at") - time.time()) < 60
    assert file == {
        "id": file["id"],
        "object": "file",
        "bytes": len(content),
        "filename": "train.jsonl",
        "purpose": "fine-tune",
        "sample_type": "instruct",
        "num_lines": 3,
        "mimetype": "application/jsonl",
        "source": "upload",
        "signature": hashlib.sha256(content).hexdigest(),
        "expires_at": None,
        "visibility": "workspace",
    }
    retrieved = client.get(f"{FILES}/{file['id']}").json()
    assert retrieved | {"created_at": 0} == file | {"created_at": 0, "deleted": False}
    response = client.get(f"{FILES}/{file['id']}/content")
    assert response.content == content
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == 'attachment; filename="train.jsonl"'
    assert kept(data) == [file["id"]]
    assert (data / "files" / file["id"]).read_bytes() == content


@pytest.mark.parametrize(
    ("content", "name", "kind", "purpose", "expected"),
    [
        (b'{"text": "a"}\n\n{"text": "b"}', "a.jsonl", None, "fine-tune", ("pretrain", 2, "application/jsonl")),
        (b'{"custom_id": "1"}\n{}', "a.jsonl", None, "batch", ("batch_request", 2, "application/jsonl")),
        (b"{}\n", "a.jsonl", "text/x-lines; charset=utf-8", "batch", ("batch_request", 1, "text/x-lines")),
        (b"%PDF \xff\n", "a.pdf", None, "ocr", ("pretrain", None, "application/pdf")),
        (b"\xff", "no extension", None, "ocr", ("pretrain", None, "application/octet-stream")),
    ],
)  # fmt: skip
def test_file_is_described(
    client: httpx2.Client, content: bytes, name: str, kind: str | None, purpose: str, expected: tuple[str, int, str]
) -> None:
    file = uploaded(client, content, name, kind, purpose=purpose, visibility="user", expiry="2")
    assert (file["sample_type"], file["num_lines"], file["mimetype"]) == expected
    assert (file["purpose"], file["visibility"]) == (purpose, "user")
    assert file["expires_at"] == file["created_at"] + 7200


def test_list_has_pages_and_filters(client: httpx2.Client) -> None:
    for number in range(3):
        uploaded(client, name=f"train-{number}.jsonl")
    uploaded(client, b"%PDF", "page.pdf", purpose="ocr")
    uploaded(client, b"{}", "requests.jsonl", purpose="batch")

    def names(**query: Any) -> list[str]:
        return [file["filename"] for file in client.get(FILES, params=query).json()["data"]]

    everything = ["requests.jsonl", "page.pdf", "train-2.jsonl", "train-1.jsonl", "train-0.jsonl"]
    assert names() == everything
    assert names(page_size=2) + names(page_size=2, page=1) + names(page_size=2, page=2) == everything
    assert names(page_size=2, page=3) == []
    assert names(search="TRAIN-1") == ["train-1.jsonl"]
    assert names(purpose="ocr") == ["page.pdf"]
    assert names(sample_type=["pretrain", "batch_request"]) == ["requests.jsonl", "page.pdf"]
    assert names(mimetypes=["application/pdf"]) == ["page.pdf"]
    for wrong in ("false", "pdf", "a/b/c"):
        assert client.get(FILES, params={"mimetypes": wrong}).status_code == 422
    assert names(source="repository") == []
    assert client.get(FILES, params={"page_size": 1, "purpose": "fine-tune"}).json()["total"] == 3
    assert client.get(FILES, params={"include_total": False}).json().keys() == {"object", "data"}


@pytest.mark.parametrize("query", [{"page": -1}, {"page_size": 0}, {"page_size": 1001}])
def test_page_that_cannot_be_is_refused(client: httpx2.Client, query: dict[str, int]) -> None:
    assert_error(client.get(FILES, params=query), 400, "invalid_request_error")


@pytest.mark.parametrize("query", [{"page": "x"}, {"purpose": "x"}, {"sample_type": "x"}, {"source": "x"}])
def test_filter_that_is_none_is_refused(client: httpx2.Client, query: dict[str, str]) -> None:
    response = client.get(FILES, params=query)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][:2] == ["query", *query]


@pytest.mark.parametrize("file_id", ["7b1f2a52-0000-4000-8000-000000000000", "nonsense", "%2e%2e", "%00", "é"])
def test_unknown_file_is_not_found(client: httpx2.Client, file_id: str) -> None:
    for response in (
        client.get(f"{FILES}/{file_id}"),
        client.get(f"{FILES}/{file_id}/content"),
        client.get(f"{FILES}/{file_id}/url"),
        client.delete(f"{FILES}/{file_id}"),
    ):
        assert_error(response, 404, "not_found")


def test_part_of_a_file_can_be_had(client: httpx2.Client) -> None:
    file = uploaded(client)
    response = client.get(f"{FILES}/{file['id']}/content", headers={"range": "bytes=2-9"})
    assert (response.status_code, response.content) == (206, LINE[2:10])


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ("bytes=1000-", 416, "has {size} bytes"),
        ("bytes=1000-1001,2000-", 416, "has {size} bytes"),
        ("bytes=x-y", 400, "malformed"),
        ("lines=1-2", 400, "malformed"),
        ("nonsense", 400, "malformed"),
    ],
)
def test_part_that_a_file_does_not_have_is_refused(client: httpx2.Client, asked: str, status: int, said: str) -> None:
    path = f"{FILES}/{uploaded(client)['id']}"
    for address in (f"{path}/content", client.get(f"{path}/url").json()["url"]):
        response = client.get(address, headers={"range": asked})
        assert said.format(size=len(LINE)) in assert_error(response, status, "invalid_range")
        assert response.headers.get("content-range") == (f"bytes */{len(LINE)}" if status == 416 else None)
    assert client.get(f"/openai{path}/content", headers={"range": asked}).json()["error"]["code"] == "invalid_range"


def test_reader_of_a_deleted_file_reads_on(client: httpx2.Client, data: Path) -> None:
    content = LINE * 200_000
    file = uploaded(client, content)
    with client.stream("GET", f"{FILES}/{file['id']}/content") as response:
        pieces = response.iter_bytes()
        first = next(pieces)
        with httpx2.Client(base_url=client.base_url) as other:
            assert other.delete(f"{FILES}/{file['id']}").status_code == 200
        assert first + b"".join(pieces) == content
    assert kept(data) == []


@pytest.mark.parametrize("moment", ["found", "described"])
@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-3"}, {"range": "bytes=0-3,5-7"}])
def test_file_deleted_before_its_content_is_opened_is_not_found(
    client: httpx2.Client, data: Path, monkeypatch: pytest.MonkeyPatch, moment: str, headers: dict[str, str]
) -> None:
    owner, name = {"found": (FileStore, "content"), "described": (FileResponse, "set_stat_headers")}[moment]
    step = getattr(owner, name)
    id_ = uploaded(client)["id"]

    def then_delete(*arguments: Any) -> Any:
        result = step(*arguments)
        (data / "files" / id_).unlink()
        return result

    monkeypatch.setattr(owner, name, then_delete)
    assert_error(client.get(f"{FILES}/{id_}/content", headers=headers), 404, "not_found")


ODD_NAMES = ["données d'été.jsonl", "数据 🙂.jsonl", "%2e%2e%2fx", "-rf", "CON", 'a"b.jsonl', "x" * 255]


@pytest.mark.parametrize(
    ("fields", "param"), [({"purpose": "vision"}, "purpose"), ({"expires_after[anchor]": "x"}, "expires_after[anchor]")]
)
def test_openais_errors_name_the_field_of_a_form(client: httpx2.Client, fields: dict[str, str], param: str) -> None:
    response = client.post("/openai/v1/files", data=fields, files={"file": ("a.jsonl", LINE)})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert param in response.json()["error"]["message"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_kept(client: httpx2.Client, name: str) -> None:
    file = uploaded(client, name=name)
    assert file["filename"].replace("%22", '"') == name
    assert client.get(f"{FILES}/{file['id']}/content").content == LINE


def sent_form(
    client: httpx2.Client, disposition: str, *, before: bytes = b"", after: bytes = b"", size: int = 1000
) -> httpx2.Response:
    """Upload a form whose file part has a Content-Disposition, sent in pieces of ``size`` bytes."""
    field = b'--b.1\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
    head = b"--b.1\r\nContent-Disposition: form-data; name=file%b\r\n\r\n" % disposition.encode()
    form = before + field + head + LINE + b"\r\n--b.1--" + after
    pieces = (form[start : start + size] for start in range(0, len(form), size))
    return client.post(FILES, content=pieces, headers={"content-type": "multipart/form-data; boundary=b.1"})


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("; filename*=utf-8''donn%C3%A9es.jsonl", "données.jsonl"),
        ("; filename*=UTF-8'fr'donn%C3%A9es%20d%27%C3%A9t%C3%A9.jsonl", "données d'été.jsonl"),
        ("; filename*=iso-8859-1''donn%E9es.jsonl", "données.jsonl"),
        ("; FileName*=\"utf-8''donn%C3%A9es.jsonl\"", "données.jsonl"),
        ("; filename=a.jsonl; filename*=utf-8''%E6%95%B0.jsonl", "数.jsonl"),
        ("; filename*=utf-8''%E6%95%B0.jsonl; filename=a.jsonl", "数.jsonl"),
        ("; filename=\"=?utf-8?B?ZG9ubsOpZXMuanNvbmw=?=\"; filename*=utf-8''donn%C3%A9es.jsonl", "données.jsonl"),
        ('; filename="=?utf-8?B?ZG9ubsOpZXMuanNvbmw=?="', "données.jsonl"),
        ('; filename="=?UTF-8?Q?donn=C3=A9es?= =?utf-8?q?=2Ejsonl?="', "données.jsonl"),
        ('; filename="=?what?B?ZG9u?="', "=?what?B?ZG9u?="),
        ("; filename=a.jsonl; filename*=utf-8''donn%E9es.jsonl", "a.jsonl"),
        ("; filename*=donn%C3%A9es.jsonl; filename=a.jsonl", "a.jsonl"),
        ("; filename=a.jsonl; filename*=utf-8''", "a.jsonl"),
        ("; filename*0*=utf-8''donn%C3%A9; filename*1=es.jsonl", "données.jsonl"),
        ("; filename=\"a; filename*=utf-8''b\"", "a; filename*=utf-8''b"),
        ('; filename="examples/fixtures/x.jsonl"', "x.jsonl"),
        ('; filename="../../x.jsonl"', "x.jsonl"),
        ('; filename="C:\\\\data\\\\x.jsonl"', "x.jsonl"),
        ('; filename="C:\\data\\x.jsonl"', "x.jsonl"),
        ('; filename="/x.jsonl"', "x.jsonl"),
        ("; filename*=utf-8''examples%2Ffixtures%5Cx.jsonl", "x.jsonl"),
    ],
)
def test_name_is_read_as_clients_write_it(client: httpx2.Client, disposition: str, name: str) -> None:
    response = sent_form(client, disposition)
    assert response.status_code == 200, response.text
    assert response.json()["filename"] == name


@pytest.mark.parametrize(
    "disposition",
    [
        "; filename*=utf-8''donn%E9es.jsonl",
        "; filename*=utf-8''a%00b",
        "; filename*=utf-8''a%0D%0Ab",
        "; filename*=",
        "; filename=.",
        "; filename=examples/..",
        "; filename=examples/",
        f"; filename=examples/{'x' * 256}",
        "",
    ],
)
def test_name_that_cannot_be_kept_is_refused(client: httpx2.Client, disposition: str) -> None:
    assert_error(sent_form(client, disposition), 400, "invalid_request_error")


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "before",
    [b"This is a form.\r\n", b"\r\n", b"--b.12\r\n", b"--b.1 \r\nx --b.1\r\n", b"a--b.1\r\n\r\n", b"x" * 500 + b"\r\n"],
)
def test_text_before_and_after_a_form_is_skipped(client: httpx2.Client, before: bytes, size: int) -> None:
    response = sent_form(client, "; filename=a.jsonl", before=before, after=b"\r\nThe end.", size=size)
    assert response.status_code == 200, response.text
    assert response.json()["bytes"] == len(LINE)


def test_form_without_its_boundary_is_refused(client: httpx2.Client) -> None:
    kind = {"content-type": "multipart/form-data; boundary=b.1"}
    for content in (b"", b"--b.2\r\n\r\n", b"x" * 100_000, b"a --b.1\r\n"):
        assert "ends before" in assert_error(
            client.post(FILES, content=content, headers=kind), 400, "invalid_request_error"
        )


@pytest.mark.parametrize("kind", [None, "application/json", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_upload_that_is_not_a_form_names_the_header(client: httpx2.Client, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    message = assert_error(client.post(FILES, content=b"{}", headers=headers), 400, "invalid_request_error")
    assert "Content-Type" in message
    assert (kind or "multipart/form-data") in message


def test_signed_address_needs_no_key_and_is_for_its_file_and_time_alone(tiny_model: Path, tmp_path: Path) -> None:
    with (
        serving_scripted(tiny_model, data_dir=tmp_path, api_keys=["secret"]) as server,
        server.client(key="secret") as client,
        server.client() as stranger,
    ):
        first, second = uploaded(client), uploaded(client, LINE * 2)
        assert stranger.get(f"{FILES}/{first['id']}/url").status_code == 401
        assert stranger.get(f"{FILES}/{first['id']}/content").status_code == 401
        url = httpx2.URL(client.get(f"{FILES}/{first['id']}/url", params={"expiry": 1}).json()["url"])
        assert abs(int(url.params["expires"]) - time.time() - 3600) < 60
        response = stranger.get(url)
        assert (response.status_code, response.content) == (200, LINE)
        assert response.headers["content-type"] == "application/octet-stream"
        for changed in (
            url.copy_with(path=url.path.replace(first["id"], second["id"])),
            url.copy_set_param("expires", str(int(url.params["expires"]) + 1)),
            url.copy_set_param("signature", "0" * 64),
            url.copy_set_param("signature", "é"),
            url.copy_with(query=None),
        ):
            assert_error(stranger.get(changed), 403, "invalid_signature")
        for expiry in (0, 169):
            response = client.get(f"{FILES}/{first['id']}/url", params={"expiry": expiry})
            assert_error(response, 400, "invalid_request_error")
        client.delete(f"{FILES}/{first['id']}")
        assert_error(stranger.get(url), 404, "not_found")
        past = int(time.time()) - 1
        signature = Signer.open(tmp_path / "secret.key").sign(f"file {second['id']} until {past}")
        response = stranger.get(f"/signed/files/{second['id']}", params={"expires": past, "signature": signature})
        assert_error(response, 403, "expired_signature")


def test_newer_database_stops_the_start_with_a_reason(tiny_model: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ponant.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    command = ponant("serve", str(tiny_model), "--port", "0", "--data-dir", str(tmp_path))
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), timeout=60)
    assert result.returncode == 2
    assert "newer version of Ponant" in result.stderr
    assert "Traceback" not in result.stderr
