"""The named examples of the documents are answered with 200, in the documented form."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from hostile.scripted_embedder import ScriptedEmbedder
from ponant.server.document.examples.chat import CHAT_REQUESTS, FIM_REQUESTS
from ponant.server.document.examples.embeddings import EMBEDDING_REQUESTS
from ponant.server.document.examples.example import RequestExample
from ponant.server.document.examples.files import DATASET, FILE_ID
from ponant.server.document.examples.fine_tuning import JOB_REQUESTS, MODEL_CHANGES
from ponant.server.document.examples.nim import REQUESTS as NIM_REQUESTS
from tests.in_process import serving_scripted
from tests.jobs import JOBS, wait_for
from tests.server.documents import Json
from tests.training.extra import skip_without_training

ANSWERED = [
    *(("/v1/chat/completions", example) for example in CHAT_REQUESTS),
    *(("/v1/fim/completions", example) for example in FIM_REQUESTS),
    *(("/v1/embeddings", example) for example in EMBEDDING_REQUESTS),
    *(("/nim/v1/chat/completions", example) for example in NIM_REQUESTS),
]


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[httpx2.Client]:
    """Client of a server with a scripted model and a scripted embedding model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hostile.scripted_embedder.DIMENSIONS", 64)
        serving = serving_scripted(tiny_model, engine={"context": 4096}, embedder=ScriptedEmbedder)
        with serving as server, server.client() as client:
            yield client


@pytest.fixture(scope="module")
def documents(client: httpx2.Client) -> Mapping[str, Json]:
    return {prefix: client.get(f"{prefix}/openapi.json").json() for prefix in ("", "/nim")}


def assert_documented(
    response: httpx2.Response, documents: Mapping[str, Json], path: str, method: str = "post"
) -> None:
    """Check a response against the schemas of its operation."""
    assert response.status_code == 200, response.text
    prefix = "/nim" if path.startswith("/nim") else ""
    document = documents[prefix]
    media = response.headers["content-type"].partition(";")[0]
    content = document["paths"][path.removeprefix(prefix)][method]["responses"]["200"]["content"][media]
    check = Draft202012Validator({**content["schema"], "components": document["components"]})
    for value in events(response.text) if media == "text/event-stream" else [response.json()]:
        check.validate(value)


def events(text: str) -> Iterator[Any]:
    *lines, done = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert done == "[DONE]"
    for line in lines:
        yield {"data": json.loads(line)}


@pytest.mark.parametrize(("path", "example"), ANSWERED, ids=[f"{path} {example.name}" for path, example in ANSWERED])
def test_example_is_answered(
    client: httpx2.Client, documents: Mapping[str, Json], path: str, example: RequestExample
) -> None:
    assert_documented(client.post(path, json=dict(example.body)), documents, path)


@pytest.mark.usefixtures("scripted_training")
def test_examples_of_files_and_jobs_are_answered(client: httpx2.Client, documents: Mapping[str, Json]) -> None:
    skip_without_training()
    upload = documents[""]["paths"]["/v1/files"]["post"]["requestBody"]["content"]["multipart/form-data"]
    fields = upload["examples"]["jsonl"]["value"]
    assert fields.pop("file") == DATASET
    response = client.post("/v1/files", data=fields, files={"file": ("capitals.jsonl", DATASET)})
    assert_documented(response, documents, "/v1/files")
    file_id = response.json()["id"]
    jobs = {}
    for example in JOB_REQUESTS:
        body = json.loads(json.dumps(example.body).replace(FILE_ID, file_id))
        response = client.post(JOBS, json=body, params=dict(example.query))
        assert_documented(response, documents, JOBS)
        jobs[example.name] = response.json()
    assert jobs["dry-run"]["object"] == "job.metadata"
    job = wait_for(client, jobs["create"]["id"])
    model_path = "/v1/fine_tuning/models/{model_id}"
    address = model_path.format(model_id=job["fine_tuned_model"])
    for example in MODEL_CHANGES:
        assert_documented(client.patch(address, json=dict(example.body)), documents, model_path, "patch")
    with contextlib.closing(client.get(f"/v1/files/{file_id}/content", headers={"range": "bytes=0-9"})) as part:
        assert (part.status_code, part.text) == (206, DATASET[:10])


def test_examples_of_nim_are_answered_without_public_names_and_at_v1(tiny_model: Path) -> None:
    settings: dict[str, Any] = {"engine": {"context": 4096}, "public_names": False, "dialect": "nim"}
    with serving_scripted(tiny_model, **settings) as server, server.client() as client:
        nim, mistral = (client.get(f"{prefix}/openapi.json").json() for prefix in ("/nim", ""))
        content = nim["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]
        for prefix in ("/nim", ""):
            for example in content["examples"].values():
                response = client.post(f"{prefix}/v1/chat/completions", json=example["value"])
                assert response.status_code == 200, response.text
    assert 'dialect = "nim"' in mistral["info"]["description"]
