"""``embeddings`` has the official client's parameters and sends them unchanged."""

import inspect
import json
from typing import Any

import httpx2
import pytest
from mistralai.client import models as official_models
from mistralai.client.embeddings import Embeddings as OfficialEmbeddings
from mistralai.client.types import UNSET as OFFICIAL_UNSET
from pydantic import ValidationError

from ponant import Mistral, models, utils
from ponant.client.embeddings import Embeddings

REQUEST: dict[str, Any] = {"model": "m", "inputs": ["a", "b"]}
SENT = {"model": "m", "input": ["a", "b"]}
USAGE = {"prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4}
NULLABLE = ("metadata", "output_dimension")


def answered(*embeddings: Any, **parameters: Any) -> tuple[Any, dict[str, Any]]:
    """Return the result of a call answered with these embeddings, and the body of its request."""
    sent: list[httpx2.Request] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        data = [{"object": "embedding", "embedding": one, "index": index} for index, one in enumerate(embeddings)]
        body = {"id": "e", "object": "list", "model": "m", "data": data, "usage": USAGE, "mood": "fine"}
        return httpx2.Response(200, json=body)

    mistral = Mistral(client=httpx2.Client(transport=httpx2.MockTransport(respond)))
    result = mistral.embeddings.create(**REQUEST | parameters)
    assert sent[0].url.path == "/v1/embeddings"
    return result, json.loads(sent[0].content)


@pytest.mark.parametrize("name", ["create", "create_async"])
def test_parameters_are_the_official_clients(name: str) -> None:
    ours = inspect.signature(getattr(Embeddings, name)).parameters
    theirs = inspect.signature(getattr(OfficialEmbeddings, name)).parameters
    assert list(ours) == list(theirs)
    for parameter, official in theirs.items():
        default = utils.UNSET if official.default == OFFICIAL_UNSET else official.default
        assert ours[parameter].default == default, parameter
        assert ours[parameter].kind is official.kind, parameter


def test_types_are_the_official_clients() -> None:
    beginnings = ("EmbeddingRequest", "EmbeddingResponse", "EmbeddingDtype")
    theirs = {name for name in official_models.__all__ if name.startswith(beginnings)}
    assert {name for name in theirs if not name.endswith("TypedDict")} | {"EncodingFormat"} <= set(models.__all__)
    for name in ("EmbeddingRequest", "EmbeddingResponse", "EmbeddingResponseData"):
        assert set(getattr(models, name).model_fields) == set(getattr(official_models, name).model_fields), name


def test_only_what_is_given_is_sent() -> None:
    assert answered()[1] == SENT
    given = {"output_dtype": "int8", "encoding_format": "base64", "output_dimension": 5, "metadata": {"a": 1}}
    assert answered(**given)[1] == SENT | given


def test_null_is_sent_where_it_may_be() -> None:
    assert answered(**dict.fromkeys(NULLABLE))[1] == SENT | dict.fromkeys(NULLABLE)


def test_results_are_typed() -> None:
    result, _ = answered([0.5, -1.0], [3, -4], "AAAA")
    assert isinstance(result, models.EmbeddingResponse)
    assert [entry.embedding for entry in result.data] == [[0.5, -1.0], [3, -4], "AAAA"]
    assert [entry.index for entry in result.data] == [0, 1, 2]
    assert (result.usage.prompt_tokens, result.model_extra) == (4, {"mood": "fine"})


def test_request_type_knows_its_fields() -> None:
    request = models.EmbeddingRequest(**REQUEST)
    assert request.model_dump(by_alias=True, exclude_unset=True) == SENT
    with pytest.raises(ValidationError):
        models.EmbeddingRequest(**REQUEST | {"flavour": "vanilla"})
