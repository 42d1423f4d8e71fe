"""Every status that the documents name occurs, with the documented body, or a test elsewhere makes it occur."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from ponant.server.document.examples.fine_tuning import FINE_TUNED
from ponant.server.multipart import LONGEST_VALUE, MOST_FIELDS
from tests.in_process import ScriptedServer, serving_scripted
from tests.server.documents import Json, operations
from tests.server.files import LINE, upload

KEY = {"authorization": "Bearer key"}
LARGEST_BODY = 1000
LARGEST_FORM = LARGEST_BODY + 2 * MOST_FIELDS * LONGEST_VALUE
TESTS = Path(__file__).parent
ELSEWHERE = {
    200: "test_document_examples.py::test_example_is_answered",
    408: "test_connections.py::test_clients_that_send_nothing_more_are_disconnected",
    429: "test_late_refusals.py::test_late_refusal_has_its_status",
    500: "test_errors.py::test_request_of_which_nothing_can_be_computed_gets_500",
    503: "test_connections.py::test_busy_server_still_reports_its_health",
    504: "test_errors.py::test_request_that_takes_too_long_gets_504_and_frees_its_place",
    507: "test_storage_trouble.py::test_full_disk_is_emptied_through_the_api",
}
"""Tests of the statuses that need a slow client, a full queue, a failing engine or a full disk."""
PART_OF_THE_API = "the specification of the Mistral API names it"
NEVER = {
    (f"{method} {path}", 422): PART_OF_THE_API
    for method, path in (("GET", "/v1/models"), ("GET", "/v1/models/{model_id}"), ("DELETE", "/v1/models/{model_id}"))
}
"""Documented statuses that this server never returns, with the reason."""
INVALID_QUERIES = {
    "/v1/files": "page=first",
    "/v1/fine_tuning/jobs": "page=first",
    "/v1/files/{file_id}/url": "expiry=x",
}
"""Queries that get a 422, by path."""

Send = Callable[[httpx2.Client, str, str, str], httpx2.Response]


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[ScriptedServer]:
    """Server with a key, and with small limits of bodies."""
    with serving_scripted(
        tiny_model, api_keys=["key"], max_body_size=LARGEST_BODY, max_file_size=LARGEST_BODY
    ) as running:
        yield running


@pytest.fixture(scope="module")
def documents(server: ScriptedServer) -> Mapping[str, Json]:
    with server.client() as client:
        return {prefix: client.get(f"{prefix}/openapi.json").json() for prefix in ("", "/nim")}


def with_query(client: httpx2.Client, method: str, url: str, _: str) -> httpx2.Response:
    """Send too many parameters."""
    return client.request(method, f"{url}?{'a&' * 1001}", headers=KEY)


def without_key(client: httpx2.Client, method: str, url: str, _: str) -> httpx2.Response:
    return client.request(method, url)


def to_another_method(client: httpx2.Client, _: str, url: str, __: str) -> httpx2.Response:
    return client.request("PUT", url, headers=KEY)


def with_large_body(client: httpx2.Client, method: str, url: str, path: str) -> httpx2.Response:
    size = LARGEST_FORM if path == "/v1/files" else LARGEST_BODY
    return client.request(method, url, headers=KEY, content=bytes(size + 1))


def compressed(client: httpx2.Client, method: str, url: str, _: str) -> httpx2.Response:
    return client.request(method, url, headers=KEY | {"content-encoding": "gzip"}, content=b"x")


def with_large_header(client: httpx2.Client, method: str, url: str, _: str) -> httpx2.Response:
    return client.request(method, url, headers=KEY | {"x-large": "a" * 2**16})


def for_nothing(client: httpx2.Client, method: str, url: str, _: str) -> httpx2.Response:
    """Name a model, a file or a job that does not exist."""
    return client.request(method, url, headers=KEY, json={} if method == "PATCH" else None)


def invalid(client: httpx2.Client, method: str, url: str, path: str) -> httpx2.Response:
    """Send an unknown field, or an invalid parameter."""
    if path == "/v1/files" and method == "POST":
        return client.post(url, headers=KEY, data={"purpose": "none"}, files={"file": LINE})
    if method == "GET":
        return client.get(f"{url}?{INVALID_QUERIES[path]}", headers=KEY)
    return client.request(method, url, headers=KEY, json={"colour": "blue"})


SENT: Mapping[int, Send] = {
    400: with_query,
    401: without_key,
    404: for_nothing,
    405: to_another_method,
    413: with_large_body,
    415: compressed,
    422: invalid,
    431: with_large_header,
}


def assert_documented(response: httpx2.Response, document: Json, operation: Json, status: int) -> None:
    assert response.status_code == status, response.text
    described = operation["responses"][str(status)]
    for header in described.get("headers", {}):
        assert header in response.headers
    (content,) = described["content"].values()
    Draft202012Validator({**content["schema"], "components": document["components"]}).validate(response.json())


@pytest.mark.parametrize("status", SENT)
def test_documented_status_occurs(server: ScriptedServer, documents: Mapping[str, Json], status: int) -> None:
    occurred = 0
    with server.client() as client:
        for prefix, document in documents.items():
            for name, operation in operations(document):
                if str(status) not in operation["responses"] or (name, status) in NEVER:
                    continue
                method, _, path = name.partition(" ")
                response = SENT[status](client, method, prefix + filled(path, operation), path)
                assert_documented(response, document, operation, status)
                occurred += 1
    assert occurred


def filled(path: str, operation: Json) -> str:
    """Return a path with ids that do not exist."""
    ids = {given["name"]: given["example"] for given in operation.get("parameters", []) if given["in"] == "path"}
    return re.sub(r"\{(\w+)\}", lambda name: str((ids | {"model_id": FINE_TUNED})[name[1]]), path)


def test_requests_by_another_hosts_name_are_refused(
    scripted_server: ScriptedServer, documents: Mapping[str, Json]
) -> None:
    with scripted_server.client() as client:
        for prefix, document in documents.items():
            for name, operation in operations(document):
                method, _, path = name.partition(" ")
                response = client.request(method, prefix + path, headers={"host": "rebound.example.org"})
                assert_documented(response, document, operation, 403)


def test_parts_of_files(server: ScriptedServer, documents: Mapping[str, Json]) -> None:
    path = "/v1/files/{file_id}/content"
    operation: Any = documents[""]["paths"][path]["get"]
    with server.client(key="key") as client:
        file_id = upload(client).json()["id"]
        url = path.format(file_id=file_id)
        part = client.get(url, headers={"range": "bytes=0-3"})
        assert (part.status_code, part.headers["content-type"]) == (206, *operation["responses"]["206"]["content"])
        for range_, status in (("bytes=9999-", 416), ("lines=1", 400)):
            assert_documented(client.get(url, headers={"range": range_}), documents[""], operation, status)


def test_every_documented_status_is_tested(documents: Mapping[str, Json]) -> None:
    tested = {*SENT, *ELSEWHERE, 206, 403, 416}
    for document in documents.values():
        for name, operation in operations(document):
            assert {int(status) for status in operation["responses"]} <= tested, name
    for place in ELSEWHERE.values():
        file, _, test = place.partition("::")
        assert f"def {test}(" in (TESTS / file).read_text(), place
