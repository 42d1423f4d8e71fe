"""``fim`` has the official client's parameters and sends them unchanged."""

import inspect
import json
from typing import Any

import httpx2
import pytest
from mistralai.client import models as official_models
from mistralai.client.fim import Fim as OfficialFim
from mistralai.client.types import UNSET as OFFICIAL_UNSET
from pydantic import ValidationError

from ponant import Mistral, models, utils
from ponant.client.fim import Fim
from tests.client.misbehaving import ANSWER, CHUNK, DONE, event

REQUEST: dict[str, Any] = {"model": "m", "prompt": "a = "}
NULLABLE = (
    "temperature", "top_p", "max_tokens", "stop", "random_seed", "metadata", "suffix", "min_tokens", "prompt_cache_key"
)  # fmt: skip


def fim(sent: list[httpx2.Request]) -> Fim:
    """Resource of a client that records its requests and does not send them."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        if request.headers["accept"] == "text/event-stream":
            return httpx2.Response(200, content=event(CHUNK) + DONE, headers={"content-type": "text/event-stream"})
        return httpx2.Response(200, json=ANSWER | {"mood": "fine"})

    return Mistral(client=httpx2.Client(transport=httpx2.MockTransport(respond))).fim


def body(**given: Any) -> dict[str, Any]:
    """Return the body of a request."""
    sent: list[httpx2.Request] = []
    fim(sent).complete(**REQUEST | given)
    assert sent[0].url.path == "/v1/fim/completions"
    result: dict[str, Any] = json.loads(sent[0].content)
    return result


@pytest.mark.parametrize("name", ["complete", "complete_async", "stream", "stream_async"])
def test_parameters_are_the_official_clients(name: str) -> None:
    ours = inspect.signature(getattr(Fim, name)).parameters
    theirs = inspect.signature(getattr(OfficialFim, name)).parameters
    assert list(ours) == list(theirs)
    for parameter, official in theirs.items():
        default = utils.UNSET if official.default == OFFICIAL_UNSET else official.default
        assert ours[parameter].default == default, parameter
        assert ours[parameter].kind is official.kind, parameter


def test_types_are_the_official_clients() -> None:
    names = {name for name in official_models.__all__ if name.startswith("FIM") and not name.endswith("TypedDict")}
    assert names <= set(models.__all__)
    for name in ("FIMCompletionRequest", "FIMCompletionStreamRequest", "FIMCompletionResponse"):
        theirs = getattr(official_models, name).model_fields
        assert set(getattr(models, name).model_fields) == set(theirs), name


def test_only_what_is_given_is_sent() -> None:
    assert body() == REQUEST | {"stream": False}
    assert body(stream=None) == REQUEST
    given = {"suffix": "\n", "stop": ["\n"], "top_p": 0.5, "metadata": {"why": "because"}, "min_tokens": 1}
    assert body(**given) == REQUEST | given | {"stream": False}


def test_null_is_sent_where_it_may_be() -> None:
    assert body(**dict.fromkeys(NULLABLE)) == REQUEST | dict.fromkeys(NULLABLE) | {"stream": False}


def test_results_are_typed() -> None:
    sent: list[httpx2.Request] = []
    response = fim(sent).complete(**REQUEST)
    assert isinstance(response, models.FIMCompletionResponse)
    assert response.choices[0].message.content == "Hi"
    assert response.model_extra == {"mood": "fine"}
    with fim(sent).stream(**REQUEST) as events:
        (only,) = events
    assert isinstance(only, models.CompletionEvent)
    assert json.loads(sent[-1].content)["stream"] is True


def test_request_types_and_calls_know_their_fields() -> None:
    assert models.FIMCompletionRequest(**REQUEST).stream is False
    assert models.FIMCompletionStreamRequest(**REQUEST).stream is True
    flavoured = REQUEST | {"flavour": "vanilla"}
    with pytest.raises(ValidationError):
        models.FIMCompletionStreamRequest(**flavoured)
    with pytest.raises(TypeError, match="flavour"):
        Mistral().fim.complete(**flavoured)
