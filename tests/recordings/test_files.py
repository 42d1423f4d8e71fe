"""Files: upload, list, download, signed URLs and deletion."""

import httpx2

from tests.recordings.asking import Ask, answers, exchange
from tests.recordings.conftest import LoggedServer
from tests.recordings.recording import Recording

FILES = "/v1/files"
LINES = b'{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n' * 3
NAUGHT = "00000000-0000-4000-8000-000000000000"


def upload(name: str | None = "train.jsonl", content: bytes = LINES, kind: str | None = None, **fields: str) -> Ask:
    file = (name, content) if kind is None else (name, content, kind)
    return Ask(f"POST {FILES}", options={"files": {"file": file}, "data": fields})


UPLOADED = {
    "a dataset": upload(purpose="fine-tune"),
    "texts": upload("texts.jsonl", b'{"text": "Hi"}', purpose="fine-tune"),
    "requests": upload("Anfragen für später.jsonl", b"{}\n{}", purpose="batch"),
    "a document": upload("page.pdf", b"%PDF \xff", "application/pdf", purpose="ocr", visibility="user", expiry="2"),
}

REFUSED = {
    "no form": Ask(f"POST {FILES}", {"file": "a"}),
    "no body": Ask(f"POST {FILES}"),
    "no boundary": Ask(f"POST {FILES}", headers={"content-type": "multipart/form-data"}, options={"content": b"a"}),
    "a form without an end": Ask(
        f"POST {FILES}",
        headers={"content-type": "multipart/form-data; boundary=x"},
        options={"content": b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n{}'},
    ),
    "no file": Ask(f"POST {FILES}", options={"files": {"purpose": (None, b"ocr")}}),
    "two files": Ask(f"POST {FILES}", options={"files": [("file", ("a", b"{}")), ("file", ("b", b"{}"))]}),
    "an unknown field": upload(colour="blue"),
    "an unknown purpose": upload(purpose="fun"),
    "an expiry that is no number": upload(expiry="soon"),
    "an expiry in the past": upload(expiry="-1"),
    "nothing": upload(content=b""),
    "no JSON": upload(content=LINES + b"{,}"),
    "no objects": upload(content=b"[1]\n"),
    "no UTF-8": upload(content='{"a": "é"}'.encode("latin-1")),
    "a name with a folder": upload("../train.jsonl"),
    "a name that is too long": upload("x" * 256),
}

LISTED = {
    "a page": Ask(f"GET {FILES}?page_size=2"),
    "the next page": Ask(f"GET {FILES}?page=1&page_size=2&include_total=false"),
    "some kinds": Ask(f"GET {FILES}?sample_type=pretrain&sample_type=batch_request&source=upload"),
    "a purpose": Ask(f"GET {FILES}?purpose=ocr&mimetypes=application/pdf"),
    "a name": Ask(f"GET {FILES}?search=TRAIN"),
    "nothing": Ask(f"GET {FILES}?search=nothing"),
    "a negative page": Ask(f"GET {FILES}?page=-1"),
    "no size": Ask(f"GET {FILES}?page_size=0"),
    "an unknown purpose": Ask(f"GET {FILES}?purpose=x"),
    "a page that is no number": Ask(f"GET {FILES}?page=x"),
    "the wrong method": Ask(f"PUT {FILES}"),
    "OpenAI's dialect": Ask("GET /openai/v1/files?purpose=ocr"),
}


def on_file(file_id: str) -> dict[str, Ask]:
    """Return requests that name a file; the last one deletes it."""
    path = f"{FILES}/{file_id}"
    return {
        "description": Ask(f"GET {path}"),
        "content": Ask(f"GET {path}/content"),
        "a part of the content": Ask(f"GET {path}/content", headers={"range": "bytes=2-9"}),
        "the content that is known": Ask(f"GET {path}/content", headers={"if-none-match": "*"}),
        "address": Ask(f"GET {path}/url?expiry=1"),
        "an address for too long": Ask(f"GET {path}/url?expiry=1000"),
        "an address for a time that is none": Ask(f"GET {path}/url?expiry=x"),
        "a signature that is wrong": Ask(f"GET /signed/files/{file_id}?expires=99999999999&signature=x"),
        "no signature": Ask(f"GET /signed/files/{file_id}"),
        "the wrong method": Ask(f"PUT {path}"),
        "deletion": Ask(f"DELETE {path}"),
    }


def test_files(guarded_server: LoggedServer, recording: Recording) -> None:
    with guarded_server.client() as client:
        responses = {name: ask.send(client) for name, ask in UPLOADED.items()}
        ids = [response.json()["id"] for response in responses.values()]
        told = {f"uploading: {name}": exchange(UPLOADED[name], response) for name, response in responses.items()}
        told |= answers(client, {f"listing: {name}": ask for name, ask in LISTED.items()})
        told |= answers(client, {f"a signed address: {name}": ask for name, ask in signed(client, ids[0]).items()})
        told |= answers(client, {f"a file: {name}": ask for name, ask in on_file(ids[0]).items()})
        told |= answers(client, {f"no file: {name}": ask for name, ask in on_file(NAUGHT).items()})
        for file_id in ids[1:]:
            client.delete(f"{FILES}/{file_id}")
    recording.check("files", told)


def test_uploads_that_are_refused(guarded_server: LoggedServer, recording: Recording) -> None:
    with guarded_server.client() as client:
        recording.check("files_refused", answers(client, REFUSED))


def signed(client: httpx2.Client, file_id: str) -> dict[str, Ask]:
    """Return requests of a file's signed URL, which need no key."""
    url = httpx2.URL(client.get(f"{FILES}/{file_id}/url").json()["url"])
    return {"the content": Ask(f"GET {url.raw_path.decode()}", headers={"authorization": "none"})}
