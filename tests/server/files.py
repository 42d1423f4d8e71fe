"""Uploads of files."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.serving import RunningServer

FILES = "/v1/files"
LINE = b'{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}\n'
MEGABYTE = 10**6


def kept(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "files").iterdir())


@contextlib.contextmanager
def clean(server: RunningServer, data: Path) -> Iterator[httpx2.Client]:
    """Yield a client whose files are deleted afterwards, with a check that no others are left."""
    with server.client() as made:
        yield made
        for file in made.get(FILES).json()["data"]:
            assert made.delete(f"{FILES}/{file['id']}").json() == {"id": file["id"], "object": "file", "deleted": True}
    assert kept(data) == []


def upload(
    client: httpx2.Client, content: Any = LINE, name: str = "train.jsonl", kind: str | None = None, **fields: str
) -> httpx2.Response:
    file = (name, content) if kind is None else (name, content, kind)
    return client.post(FILES, data={"purpose": "fine-tune"} | fields, files={"file": file})


def uploaded(client: httpx2.Client, *arguments: Any, **fields: Any) -> dict[str, Any]:
    response = upload(client, *arguments, **fields)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def form(*parts: tuple[str, bytes], boundary: str = "xyz") -> bytes:
    """Return a form body written by hand from dispositions and contents."""
    head = "--{}\r\nContent-Disposition: form-data; {}\r\n\r\n"
    pieces = [head.format(boundary, disposition).encode() + content + b"\r\n" for disposition, content in parts]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def post(client: httpx2.Client, content: Any, boundary: str = "xyz") -> httpx2.Response:
    return client.post(FILES, content=content, headers={"content-type": f"multipart/form-data; boundary={boundary}"})


PURPOSE = ('name="purpose"', b"fine-tune")
FILE = ('name="file"; filename="train.jsonl"', LINE)
