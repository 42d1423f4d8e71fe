# pyright: basic, reportMissingImports=false
"""Models and errors."""

import openai
import pytest
from openai import OpenAI

from tests.clients.openai.asking import KEY, MODEL, request, settings


def test_the_model_is_listed_and_retrieved(client: OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).object == "model"


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_refused(client: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**request(model="no-such-model", stream=stream))
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
    assert "no-such-model" in caught.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_value_out_of_range_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(temperature=5.0))
    assert (caught.value.param, caught.value.code) == ("temperature", "invalid_value")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(seed="seven"))
    assert caught.value.param == "seed"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(messages=[{"role": "user", "content": [{"type": "text"}]}]))
    assert caught.value.param is not None
    assert caught.value.param.startswith("messages[0].content")


def test_a_field_that_nobody_knows_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(extra_body={"flavour": "vanilla"}))
    assert (caught.value.param, caught.value.code) == ("flavour", "unknown_parameter")


def test_more_than_the_context_holds_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(max_tokens=10_000_000))
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.skipif(KEY is None, reason="the server takes any key")
def test_a_wrong_key_is_refused() -> None:
    for path in ("/v1", "/openai/v1"):
        with (
            OpenAI(**settings(key="wrong", path=path)) as stranger,
            pytest.raises(openai.AuthenticationError) as caught,
        ):
            stranger.chat.completions.create(**request())
        assert caught.value.code == "invalid_api_key"
