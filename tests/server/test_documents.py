"""The OpenAPI documents: every part is described, all examples are valid, and both agree with the reference pages."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator, FormatChecker

from ponant.server.document.mistral import TEXTS
from ponant.server.document.nim import NIM_OPERATION
from ponant.server.document.operations import OPERATIONS
from ponant.server.document.texts.nim import NIM_TEXTS
from tests.in_process import ScriptedServer, serving_in_process
from tests.server.documents import Json, bodies, fields, operations, parts, resolved
from tests.serving import RunningServer

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
PATHS = ("/openapi.json", "/nim/openapi.json")
TITLES = [
    "Create Chat Completions",
    "Create FIM Completions",
    "Create Embeddings",
    "List Available Models",
    "Delete Model",
    "Upload File",
    "List Files",
    "Retrieve File",
    "Delete File",
    "List Fine Tuning Jobs",
    "Create Fine Tuning Job",
    "Get Fine Tuning Job",
    "Cancel Fine Tuning Job",
]
"""Operations of the reference, in its order."""
CHAT_EXAMPLES = ["plain", "streamed", "json-schema", "tools", "tool-result", "prefix", "prediction", "reasoning"]
NIM_FIELDS = {
    "model": "mistralai/mistral-7b-instruct-v0.2",
    "max_tokens": 1024,
    "stream": False,
    "temperature": 0.3,
    "top_p": 1,
    "stop": None,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "seed": 0,
}
"""Fields of NIM's reference with their defaults, in its order; ``messages`` follows."""


@pytest.fixture(scope="module")
def served(scripted_server: ScriptedServer) -> Mapping[str, Json]:
    """Documents of a server without keys, by path."""
    with scripted_server.client() as client:
        return {path: client.get(path).json() for path in PATHS}


@pytest.fixture(scope="module")
def other_server(tiny_model: Path) -> Iterator[RunningServer]:
    """Server with keys, an environment, and models with temperatures of their own. No model is loaded."""
    models = [
        {"source": str(tiny_model), "id": "cold", "default_temperature": 0.2},
        {"source": str(tiny_model), "id": "hot", "default_temperature": 1.1},
    ]
    with serving_in_process(
        models=models,
        preload="none",
        api_keys=["key"],
        environments={"Develop Env": "https://dev.example"},
        public_names=False,
    ) as server:
        yield server


@pytest.fixture(params=PATHS)
def document(request: pytest.FixtureRequest, served: Mapping[str, Json]) -> Json:
    return served[request.param]


def validator(schema: Json, document: Json) -> Draft202012Validator:
    """Return the validator of a schema with references to the document."""
    return Draft202012Validator({**schema, "components": document["components"]}, format_checker=FormatChecker())


def test_every_parameter_and_field_has_a_description_a_valid_example_and_a_valid_default(document: Json) -> None:
    wrong: dict[str, str] = {}
    checked: set[int] = set()
    for part in parts(document):
        if id(part.part) in checked:
            continue
        checked.add(id(part.part))
        if not part.part.get("description") or not part.examples:
            wrong[part.place] = "has no description or no example"
        defaults = [part.schema["default"]] if "default" in part.schema else []
        for value in (*part.examples, *defaults):
            for error in validator(part.schema, document).iter_errors(value):
                wrong[part.place] = error.message
    assert len(checked) > 60
    assert wrong == {}


def test_every_operation_is_described(document: Json) -> None:
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert all(tags.values())
    used = set()
    for name, operation in operations(document):
        assert operation["summary"] and operation["operationId"], name
        (tag,) = operation["tags"]
        used.add(tag)
        assert f"Modified at {operation['x-modified-at']}." in operation["description"], name
        assert len(operation["description"]) > 60, name
        assert all(response["description"] for response in operation["responses"].values()), name
    assert used == set(tags)
    assert document["info"]["description"]


def test_every_body_has_valid_examples(document: Json) -> None:
    for name, operation in operations(document):
        for place, content in bodies(operation):
            assert content["examples"], f"{name} {place}"
            for key, example in content["examples"].items():
                errors = [
                    error.message for error in validator(content["schema"], document).iter_errors(example["value"])
                ]
                assert errors == [], f"{name} {place} {key}"
                assert example["summary"], f"{name} {place} {key}"


def test_document_is_valid(document: Json) -> None:
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1.")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))):
        assert resolved(document, reference)
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for name, operation in operations(document):
        declared = {given["name"] for given in operation.get("parameters", []) if given["in"] == "path"}
        assert set(re.findall(r"\{(\w+)\}", name)) == declared


def test_descriptions_have_no_sections_of_docstrings(document: Json) -> None:
    text = json.dumps(document)
    for mark in ("Attributes:", "Args:", "Raises:", "Returns:", "``"):
        assert mark not in text.replace("```", ""), mark


def test_every_text_is_used(served: Mapping[str, Json]) -> None:
    for path, texts in ((PATHS[0], TEXTS), (PATHS[1], NIM_TEXTS)):
        found: dict[str, set[str]] = {}
        for part in [served[path], *_schemas(served[path])]:
            if isinstance(title := part.get("title"), str):
                found.setdefault(title, set()).update(part.get("properties", {}))
        for name, text in texts.items():
            extra = text.fields.keys() - found[name]
            assert not extra, f"{name} {extra}"
    found_ids = [operation["operationId"] for _, operation in operations(served[PATHS[0]])]
    assert sorted(found_ids) == sorted(OPERATIONS)


def _schemas(part: Any) -> Iterator[Json]:
    if isinstance(part, dict):
        if "properties" in part and "title" in part:
            yield part
        for inner in part.values():
            yield from _schemas(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _schemas(inner)


def test_bounds_of_integers_are_integers(document: Json) -> None:
    integers = [
        schema
        for name, operation in operations(document)
        for content in [
            *({"schema": given["schema"]} for given in operation.get("parameters", [])),
            *operation.get("requestBody", {}).get("content", {}).values(),
        ]
        for part in fields({"properties": {"": content["schema"]}}, document, name, frozenset())
        for schema in [part.schema, *part.schema.get("anyOf", [])]
        if schema.get("type") == "integer"
    ]
    assert integers
    for schema in integers:
        assert type(schema["minimum"]) is type(schema["maximum"]) is int, schema


# The Mistral API's reference


def test_operations_of_the_reference_come_first_with_their_titles(served: Mapping[str, Json]) -> None:
    document = served[PATHS[0]]
    titles = {operation["summary"]: operation for _, operation in operations(document)}
    by_tag = [
        title for tag in document["tags"] for title, operation in titles.items() if operation["tags"] == [tag["name"]]
    ]
    assert by_tag[:13] == TITLES
    assert [title for title in titles if title in TITLES] == TITLES
    for title, following in itertools.pairwise(TITLES):
        (tag,), id_ = titles[following]["tags"], titles[following]["operationId"]
        assert f"Next: [{following}](/docs#mistral/tag/{tag}/{id_})." in titles[title]["description"]


def test_fields_of_chat_are_those_of_the_reference(served: Mapping[str, Json]) -> None:
    schema = served[PATHS[0]]["components"]["schemas"]["ChatCompletionRequest"]
    field = schema["properties"]
    assert schema["required"] == ["model", "messages"]
    assert field["model"]["type"] == "string"
    assert field["model"]["examples"] == ["mistral-small-latest"]
    assert (field["temperature"]["default"], field["top_p"]["default"]) == (0.7, 1)
    assert "from 0 to 1" in field["temperature"]["description"]
    assert "1.5" in field["temperature"]["description"]
    assert field["temperature"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 1.5}
    assert field["top_p"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 1}
    assert (field["max_tokens"]["default"], field["max_tokens"]["examples"]) == (None, [512])
    assert field["max_tokens"]["anyOf"][0]["minimum"] == 0
    assert (field["stream"]["default"], field["safe_prompt"]["default"]) == (False, False)
    assert (field["random_seed"]["default"], field["random_seed"]["examples"]) == (None, [1337])
    for name in ("model", "messages", "temperature", "top_p", "max_tokens", "stream", "random_seed"):
        assert len(field[name]["description"]) > 60, name


def test_request_and_response_of_chat_are_those_of_the_reference(served: Mapping[str, Json]) -> None:
    operation = served[PATHS[0]]["paths"]["/v1/chat/completions"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert list(examples) == CHAT_EXAMPLES
    question = "Who is the best French painter? Answer in one short sentence."
    assert examples["plain"]["value"] == {
        "model": "mistral-small-latest",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0.7,
        "top_p": 1,
        "max_tokens": None,
        "stream": False,
        "safe_prompt": False,
        "random_seed": None,
    }
    answer = operation["responses"]["200"]["content"]["application/json"]["examples"]["plain"]["value"]
    assert (answer["id"], answer["created"]) == ("cmpl-e5cc70bb28c444948073e77776eb30ef", 1702256327)
    assert answer["usage"] == {"prompt_tokens": 16, "completion_tokens": 34, "total_tokens": 50}
    (choice,) = answer["choices"]
    # The reference's example has the role of the user, which no answer has.
    assert choice["message"] == {
        "role": "assistant",
        "content": "Claude Monet is often considered one of the best French painters due to his significant role in "
        "the Impressionist movement.",
    }


def test_streamed_operations_show_both_forms_of_their_answer(served: Mapping[str, Json]) -> None:
    for document in served.values():
        for name, operation in operations(document):
            if not name.endswith("/completions"):
                continue
            content = operation["responses"]["200"]["content"]
            assert list(content) == ["application/json", "text/event-stream"], name
            events = content["text/event-stream"]
            assert events["schema"]["$ref"].endswith("Event")
            assert all(example["value"]["data"]["choices"] for example in events["examples"].values())
            assert "data: [DONE]" in operation["responses"]["200"]["description"]


def test_named_examples_of_the_other_requests(served: Mapping[str, Json]) -> None:
    paths = served[PATHS[0]]["paths"]
    for path, media, names in (
        ("/v1/fim/completions", "application/json", ["code"]),
        ("/v1/embeddings", "application/json", ["one", "batch", "base64", "fewer-dimensions"]),
        ("/v1/fine_tuning/jobs", "application/json", ["create", "dry-run"]),
        ("/v1/files", "multipart/form-data", ["jsonl"]),
    ):
        assert list(paths[path]["post"]["requestBody"]["content"][media]["examples"]) == names


@pytest.mark.parametrize(
    ("schema", "place", "said"),
    [
        ("ImageURLChunk", None, "refused"),
        ("DocumentURLChunk", None, "refused"),
        ("AudioChunk", None, "refused"),
        ("FileChunk", None, "refused"),
        ("GithubRepositoryIn", None, "refuses"),
        ("JobIn", "repositories", "Refused"),
        ("JobIn", "classifier_targets", "Refused"),
        ("JobIn", "job_type", "refused"),
        ("ModerationLLMV1Config", "action", "refused"),
        ("ChatCompletionRequest", "guardrails", "refused"),
        ("ChatCompletionRequest", "top_logprobs", "Refused"),
    ],
)
def test_refused_parts_are_marked(served: Mapping[str, Json], schema: str, place: str | None, said: str) -> None:
    described = served[PATHS[0]]["components"]["schemas"][schema]
    text = (described["properties"][place] if place else described)["description"]
    assert said in text


# NIM's reference


def test_nim_has_one_operation_with_its_own_fields(served: Mapping[str, Json]) -> None:
    document = served[PATHS[1]]
    ((name, operation),) = operations(document)
    assert (name, operation["summary"]) == ("POST /v1/chat/completions", "Create a chat completion")
    assert document["servers"][0]["url"].endswith("/nim")
    schema = resolved(document, operation["requestBody"]["content"]["application/json"]["schema"]["$ref"])
    assert list(schema["properties"]) == [*NIM_FIELDS, "messages"]
    assert {name: schema["properties"][name]["default"] for name in NIM_FIELDS} == NIM_FIELDS
    assert schema["required"] == ["messages"]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("max_tokens", 1, 0),
        ("temperature", 1, 1.01),
        ("top_p", 0, -0.01),
        ("frequency_penalty", -2, 2.01),
        ("presence_penalty", 2, -2.01),
        ("seed", -(2**63), 2**64),
        ("stop", ["a"], [""]),
    ],
)
def test_nim_documents_the_bounds_that_it_enforces(
    scripted_server: ScriptedServer, served: Mapping[str, Json], field: str, good: Any, bad: Any
) -> None:
    schema = served[PATHS[1]]["components"]["schemas"]["NimChatRequest"]["properties"][field]
    with scripted_server.client() as client:
        for value, status in ((good, 200), (bad, 422)):
            body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8} | {field: value}
            assert client.post("/nim/v1/chat/completions", json=body).status_code == status
            assert validator(schema, served[PATHS[1]]).is_valid(value) == (status == 200)


# This server


def test_document_is_that_of_the_server_and_its_models(other_server: RunningServer) -> None:
    with other_server.client() as client:
        mistral, nim = (client.get(path).json() for path in PATHS)
        by_name = client.get(PATHS[0], headers={"host": "models.example:8443"}).json()
        strange = [client.get(PATHS[0], headers={"host": host}).json() for host in ("a'b", "a" * 1000, "a/b?c")]
    assert mistral["servers"] == [
        {"url": other_server.url, "description": "This server"},
        {"url": "https://dev.example", "description": "Develop Env"},
    ]
    assert [server["url"] for server in nim["servers"]] == [f"{other_server.url}/nim", "https://dev.example/nim"]
    assert by_name["servers"][0]["url"] == "http://models.example:8443"
    assert [document["servers"][0]["url"] for document in strange] == [other_server.url] * 3
    for document in (mistral, nim):
        ((name, scheme),) = document["components"]["securitySchemes"].items()
        assert (scheme["type"], scheme["scheme"], document["security"]) == ("http", "bearer", [{name: []}])
        for operation_name, operation in operations(document):
            assert operation["x-codeSamples"], operation_name
            assert all("MISTRAL_API_KEY" in sample["source"] for sample in operation["x-codeSamples"]), operation_name
    request = mistral["components"]["schemas"]["ChatCompletionRequest"]["properties"]
    assert request["temperature"]["default"] == 0.2
    assert "That of hot is 1.1." in request["temperature"]["description"]
    assert request["model"]["examples"] == ["cold"]  # without public names
    assert "mistral-small-latest" not in json.dumps(mistral["paths"]["/v1/chat/completions"])
    assert "open-mistral-7b" not in json.dumps(mistral)
    assert nim["components"]["schemas"]["NimChatRequest"]["properties"]["model"]["default"] == "cold"
    assert "mistralai/mistral-7b" not in json.dumps(nim)


def test_server_without_keys_needs_none(document: Json) -> None:
    assert document["security"] == [{}, {"Bearer": []}]
    samples = [sample["source"] for _, operation in operations(document) for sample in operation["x-codeSamples"]]
    assert samples
    assert not any("authorization" in source.lower() or "MISTRAL_API_KEY" in source for source in samples)
    assert [server["description"] for server in document["servers"]] == ["This server"]


def test_changes_are_dated_as_in_the_changelog() -> None:
    _, _, section = CHANGELOG.read_text().partition("### Operations by the date of their last change")
    section = section.partition("\n#")[0]
    dates: dict[str, str] = {}
    for date, titles in re.findall(r"^- (\d{4}-\d\d-\d\d): ((?:.|\n  )+)", section, re.MULTILINE):
        dates |= dict.fromkeys(re.sub(r"\s+", " ", titles).strip().removesuffix(".").split(", "), date)
    texts = [*OPERATIONS.values(), NIM_OPERATION]
    assert dates == {text.title: text.modified.isoformat() for text in texts}
