"""Requests as code: ``POST /pages/code``, and the samples in the served document."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponant.samples.samples import FORMS as ALL_FORMS
from tests.in_process import ScriptedServer, serving_scripted
from tests.serving import RunningServer

FORMS = [form for form in ALL_FORMS if form.name != "python-openai"]
CHAT = {"method": "POST", "path": "/v1/chat/completions"}
BODY = {"model": "small", "messages": [{"role": "user", "content": "It's"}]}


@pytest.fixture(scope="module")
def keyed(tiny_model: Path) -> Iterator[ScriptedServer]:
    """Server with a key."""
    with serving_scripted(tiny_model, api_keys=["a-key"]) as server:
        yield server


def sources(server: RunningServer, **request: Any) -> dict[str, str]:
    """Return the sources of a request by form."""
    with server.client() as client:
        response = client.post("/pages/code", json=CHAT | request)
    assert response.status_code == 200, response.text
    return {sample["form"]: sample["source"] for sample in response.json()["samples"]}


def test_request_is_written_in_all_languages_for_this_server(scripted_server: ScriptedServer) -> None:
    written = sources(scripted_server, body=BODY)
    assert list(written) == [form.name for form in FORMS]
    for source in written.values():
        assert scripted_server.url in source
        assert "MISTRAL_API_KEY" not in source
    assert "stream" not in written["shell"]
    assert '"stream": true' in sources(scripted_server, body=BODY, stream=True)["shell"]


def test_programs_for_servers_with_keys_send_one(keyed: ScriptedServer, scripted_server: ScriptedServer) -> None:
    other = "https://dev.example/nim"
    for server, address in ((keyed, None), (keyed, other), (scripted_server, other)):
        for source in sources(server, body=BODY, address=address).values():
            assert "MISTRAL_API_KEY" in source
            assert (address or server.url) in source


def test_uploads_and_queries_are_written(scripted_server: ScriptedServer) -> None:
    form = {"file_name": "a.jsonl", "fields": {"purpose": "fine-tune"}}
    assert "file=@a.jsonl" in sources(scripted_server, path="/v1/files", form=form)["shell"]
    listed = sources(scripted_server, method="GET", path="/v1/files", query={"page_size": 20, "source": ["upload"]})
    assert 'files.list(page_size=20, source=["upload"])' in listed["python-ponant"]


def test_dialects_of_openai_have_its_client(scripted_server: ScriptedServer) -> None:
    address = f"{scripted_server.url}/nim"
    written = sources(scripted_server, body=BODY | {"seed": 1}, address=address)
    assert list(written) == ["shell", "python-openai", "javascript-fetch", "java", "swift"]
    assert f'base_url="{address}/v1"' in written["python-openai"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"path": "/v1/agents"}, 400),
        ({"path": "/v1/models/a b"}, 400),
        ({"address": "javascript:alert(1)"}, 400),
        ({"address": "http://a/'"}, 400),
        ({"address": "http://[::1"}, 400),
        ({"address": "http://[::::1]"}, 400),
        ({"method": "GET", "path": "/v1/models", "stream": True}, 400),
        ({"method": "PUT"}, 422),
        ({"body": []}, 422),
        ({"other": 1}, 422),
        ({"body": {"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}, 400),
        ({"body": {"a": "a" * 2**17}}, 413),
    ],
)
def test_what_cannot_be_written_is_refused(scripted_server: ScriptedServer, request_: Any, status: int) -> None:
    with scripted_server.client() as client:
        response = client.post("/pages/code", json=CHAT | request_)
    assert response.status_code == status, response.text


def test_every_documented_operation_has_samples_in_all_languages(scripted_server: ScriptedServer) -> None:
    with scripted_server.client() as client:
        document = client.get("/openapi.json", headers={"host": "localhost:1"}).json()
    for operations in document["paths"].values():
        for operation in operations.values():
            assert [sample["label"] for sample in operation["x-codeSamples"]] == [form.label for form in FORMS]
            assert all("http://localhost:1" in sample["source"] for sample in operation["x-codeSamples"])
